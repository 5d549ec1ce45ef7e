"""Alembic runs this script. `common.state.migrate` gives it the connection, in one transaction."""

from __future__ import annotations

from alembic import context

from common.state.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
