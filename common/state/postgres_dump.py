"""A PostgreSQL state database as a file, made and read by PostgreSQL's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import inspect

from common.errors import StateError
from common.settings import Settings
from common.state.database import postgres_engine, postgres_url
from common.state.tables import METADATA

_DUMP, _RESTORE = "pg_dump", "pg_restore"
# The state is small: 100,000 matches take seconds. A server that hangs must not hang the backup.
_MOST_SECONDS = 600.0
_CONNECT_SECONDS = "10"


def dump_state(settings: Settings, target: Path) -> bool:
    """Write the tables of the state database to a file, as they are at one moment; False if pg_dump is
    not installed. Raises StateError if it fails."""
    if shutil.which(_DUMP) is None:
        return False
    tables = [f"--table={name}" for name in _tables()]
    _run(settings, _DUMP, "--format=custom", f"--file={target}", "--lock-wait-timeout=10s", *tables)
    return True


def restore_state(settings: Settings, dump: Path) -> bool:
    """Write a dump into the state database of the settings; False if it has tables of ours already, which
    are never replaced. Raises StateError if it fails, with the database as it was before."""
    if shutil.which(_RESTORE) is None:
        raise StateError(
            f"{_RESTORE} is not installed; install the PostgreSQL client tools, then repeat this with "
            "--force"
        )
    engine = postgres_engine(settings)
    try:
        if set(_tables()) & set(inspect(engine).get_table_names()):
            return False
    finally:
        engine.dispose()
    _run(
        *(settings, _RESTORE, "--single-transaction", "--exit-on-error"),
        "--no-owner",
        "--no-privileges",
        # The one that the environment names, or the default of PostgreSQL.
        "--dbname=",
        str(dump),
    )
    return True


def _tables() -> list[str]:
    return [*METADATA.tables, "alembic_version"]


def _run(settings: Settings, program: str, *arguments: str) -> None:
    """Run a tool on the state database. Its password is in no argument, because others could read it."""
    url = postgres_url(settings)
    given = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGCONNECT_TIMEOUT": _CONNECT_SECONDS,
        # Such as sslmode and sslrootcert.
        **{f"PG{name.upper()}": str(value) for name, value in url.query.items()},
    }
    environment = {name: str(value) for name, value in given.items() if value is not None}
    try:
        run = subprocess.run(
            [program, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
        lines = run.stderr.strip().splitlines()
        failed = run.returncode != 0
    except subprocess.TimeoutExpired:
        lines, failed = [f"it took more than {_MOST_SECONDS:.0f} s"], True
    if failed:
        reason = next((line for line in lines if "error" in line.lower()), " ".join(lines[-1:]))
        raise StateError(
            f"{program} failed: {reason.removeprefix(f'{program}: ')}; {program} must not be older than "
            "the server"
        )
