"""Names of the state's files in a data folder. This module does not import SQLAlchemy, which is slow to
import."""

from __future__ import annotations

# Folder of the uploads of jobs.
JOBS_FOLDER = "jobs"
FILES = tuple(f"state.sqlite{tail}" for tail in ("", "-wal", "-shm", "-journal"))
