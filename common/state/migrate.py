"""Upgrades the database schema with Alembic."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from common.errors import StateError

# The newest revision in `migrations/versions`. A test checks it.
HEAD = "0008"
FOLDER = Path(__file__).parent / "migrations"


def revision(connection: Connection) -> str | None:
    """The schema's revision; None if the database has no schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return found


def upgrade(connection: Connection) -> None:
    """Upgrade the schema to `HEAD`, in the connection's transaction. Raises StateError if the schema is
    newer."""
    # Imported here, because the schema is usually up to date.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise StateError(
            f"the state database has schema {revision(connection)}, which this version does not know; "
            "use the version of StoryHash that made it, or a newer one"
        ) from None
