"""The state database is private, has one schema, and tells what is wrong with it."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import func, select, text

from common.errors import SettingsError, StateError
from common.settings import Settings, StateSettings
from common.state.database import StateDatabase
from common.state.keys import KeyStore, NewKey
from common.state.matches import FoundMatch, MatchFilter, MatchStore
from common.state.migrate import FOLDER, HEAD
from common.state.roles import Role
from common.state.tables import API_KEYS, METADATA
from tests.faults.disks import Disk, can_mount
from tests.support import state_schema
from tests.support.background import together

pytestmark = pytest.mark.usefixtures("own_migrations")


def test_the_migrations_make_the_tables(database: StateDatabase) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, METADATA) == []


def test_the_schema_that_tests_copy_is_the_one_the_migrations_make(tmp_path: Path) -> None:
    def dump(name: str) -> list[str]:
        StateDatabase(Settings(data_dir=tmp_path / name)).close()
        with closing(sqlite3.connect(tmp_path / name / "state.sqlite")) as connection:
            return list(connection.iterdump())

    migrated = dump("migrated")
    with state_schema.copied_schema():
        assert dump("copied") == migrated


def test_the_columns_of_matches_of_an_earlier_version_are_filled(
    settings: Settings, database: StateDatabase
) -> None:
    matches = MatchStore(database, settings.state)
    odd = 'a "b"/ü\udc80\0'
    details: list[dict[str, Any]] = [
        {"best_non_match": {"video_id": odd, "score": 0.4}, "negatives": [], "coverage": 0.5},
        {"best_non_match": None, "negatives": [{"video_id": odd}, {"video_id": "q"}]},
        {},
    ]
    query = {"query": {"video_id": "q"}, "ref_video_id": "r"}
    for number, detail in enumerate(details):
        found = FoundMatch(str(number), "r", "b", None, "copy", 0.9, {**query, **detail})
        matches.record([found])
    named = {video_id: matches.mentions_of(video_id) for video_id in (odd, "q", "r")}
    assert named == {odd: 2, "q": 0, "r": 0}
    with database.change() as connection:
        connection.execute(text("DROP TABLE match_mentions"))
        connection.execute(text("ALTER TABLE matches DROP COLUMN coverage"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    StateDatabase(settings).close()
    assert {video_id: matches.mentions_of(video_id) for video_id in named} == named
    assert matches.page(MatchFilter(min_coverage=0.5), None, 9)[2] == 1


def test_the_newest_migration_is_the_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_database_can_be_opened_again_and_twice(
    settings: Settings, database: StateDatabase
) -> None:
    other = StateDatabase(settings)
    assert KeyStore(database).create_first() is not None
    assert KeyStore(other).exists()
    other.close()


def test_of_many_that_start_together_one_makes_the_schema(settings: Settings) -> None:
    together([lambda: StateDatabase(settings).close()] * 4)


def test_a_newer_schema_is_refused(settings: Settings, database: StateDatabase) -> None:
    with database.change() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateError, match="has schema 9999, which this version does not know"):
        StateDatabase(settings)


def test_what_fails_leaves_nothing_behind(database: StateDatabase) -> None:
    def fail() -> None:
        with database.change() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(StateError):
        fail()
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def test_a_reading_sees_one_version_of_the_data(database: StateDatabase) -> None:
    keys = select(func.count()).select_from(API_KEYS)
    with database.read() as connection:
        assert connection.execute(keys).scalar_one() == 0
        KeyStore(database).create_first()
        assert connection.execute(keys).scalar_one() == 0
    with database.read() as connection:
        assert connection.execute(keys).scalar_one() == 1


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = StateDatabase(Settings(data_dir=tmp_path / "data"))
    KeyStore(database).create_first()
    files = list((tmp_path / "data").iterdir())
    assert {file.name for file in files} >= {"state.sqlite", "state.sqlite-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    database.close()


def test_a_database_on_a_read_only_disk_is_read_and_not_changed(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("disks are mounted by root alone")
    with Disk(tmp_path / "disk", 4) as disk:
        settings = Settings(data_dir=disk.folder)
        with closing(StateDatabase(settings)) as database:
            KeyStore(database).create(NewKey("ci", Role.READER))
        disk.writable(False)
        with closing(StateDatabase(settings)) as database:
            keys = KeyStore(database)
            assert [key.name for key in keys.page("", 9)[0]] == ["ci"]
            with pytest.raises(StateError, match="permissions"):
                keys.create(NewKey("another", Role.READER))


def test_on_a_full_disk_nobody_is_told_to_start_a_database(tmp_path: Path) -> None:
    database = StateDatabase(Settings(data_dir=tmp_path))

    def fill() -> None:
        with database.change() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))
            connection.execute(text("CREATE TABLE large AS SELECT zeroblob(1000000) AS content"))

    try:
        with pytest.raises(StateError, match="is full; free some disk space, or") as caught:
            fill()
        assert "STORYHASH_STATE__URL" not in str(caught.value)
    finally:
        database.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StateError, match=r"state.sqlite: file is not a database; "):
        StateDatabase(Settings(data_dir=tmp_path))


@pytest.mark.parametrize("url", ["mysql://host/db", "no address", "sqlite:///x", ""])
def test_an_address_of_something_else_names_the_setting(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, state=StateSettings(url=SecretStr(url)))
    with pytest.raises(SettingsError, match="STORYHASH_STATE__URL: expected an address"):
        StateDatabase(settings)


def test_a_server_that_does_not_answer_is_named_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    url = SecretStr("postgresql://me:pa55word@127.0.0.1:9/storyhash")
    with pytest.raises(
        StateError, match=r"the state database at 127\.0\.0\.1: .*start the"
    ) as caught:
        StateDatabase(Settings(data_dir=tmp_path, state=StateSettings(url=url)))
    assert "pa55word" not in str(caught.value)
