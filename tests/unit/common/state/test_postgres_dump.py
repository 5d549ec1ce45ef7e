"""A PostgreSQL state database is dumped and restored, and never replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from common.errors import StateError
from common.settings import Settings, StateSettings
from common.state.database import postgres_engine
from common.state.postgres_dump import dump_state, restore_state
from common.state.roles import Role
from common.state.state import State
from common.state.tables import METADATA
from tests.kafka_broker.broker import free_ports
from tests.support.keys import key_of


def settings_of(url: str) -> Settings:
    return Settings(state=StateSettings(url=SecretStr(url)))


def dump_and_restore(url: str, dump: Path) -> None:
    settings = settings_of(url)
    with State(settings) as state:
        key_of(state, Role.WRITER)
        keys = [key.to_json() for key in state.keys.page()[0]]
    assert dump_state(settings, dump)
    assert not restore_state(settings, dump)
    engine = postgres_engine(settings)
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    engine.dispose()
    assert restore_state(settings, dump)
    with State(settings) as state:
        assert [key.to_json() for key in state.keys.page()[0]] == keys


def test_a_dump_restores_keys_into_an_empty_database_and_replaces_none(
    postgres_url: str, tmp_path: Path
) -> None:
    dump_and_restore(postgres_url, tmp_path / "state.dump")


def test_an_address_without_a_database_is_that_of_the_default_one(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = make_url(postgres_url)
    monkeypatch.setenv("PGDATABASE", str(address.database))
    dump_and_restore(
        address._replace(database=None).render_as_string(hide_password=False),
        tmp_path / "state.dump",
    )


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_password_is_in_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, "pg_dump", f'echo "$@" $PGHOST $PGSSLMODE > {tmp_path}/told; echo $PGPASSWORD'
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    settings = settings_of("postgresql://me:secret@db/storyhash?sslmode=require")
    assert dump_state(settings, tmp_path / "state.dump")
    told = (tmp_path / "told").read_text()
    assert f"--file={tmp_path}/state.dump" in told
    assert "--table=api_keys" in told
    assert told.endswith("db require\n")
    assert "secret" not in told


def test_without_the_tools_nothing_is_dumped_and_a_failure_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (closed,) = free_ports(1)
    settings = settings_of(f"postgresql://me@127.0.0.1:{closed}/storyhash")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not dump_state(settings, tmp_path / "state.dump")
    with pytest.raises(StateError, match="install the PostgreSQL client tools"):
        restore_state(settings, tmp_path / "state.dump")
    program(
        *(tmp_path, "pg_dump"),
        "echo 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1",
    )
    with pytest.raises(StateError, match="error: aborting because of server version mismatch"):
        dump_state(settings, tmp_path / "state.dump")
