"""The files of the state in a data folder; without an import of SQLAlchemy, which takes a while."""

from __future__ import annotations

FILES = tuple(f"state.sqlite{tail}" for tail in ("", "-wal", "-shm", "-journal"))
