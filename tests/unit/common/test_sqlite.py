"""SQLite: all of a transaction or none of it, for its owner alone, errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from common.errors import CorruptIndexError, StorageError
from common.sqlite import Database
from tests.faults.disks import Disk, can_mount

SCHEMA = "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY);"


def opened(folder: Path, *, read_only: bool = False) -> Database:
    return Database(folder / "a.sqlite", SCHEMA, remedy="delete it", read_only=read_only)


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    database = opened(tmp_path)

    def fail() -> None:
        with database.change() as execute:
            execute("INSERT INTO names VALUES (?)", "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.change() as execute:
        execute("INSERT INTO names VALUES (?)", "b")
    assert database.query("SELECT name FROM names") == [("b",)]
    database.close()


def test_a_database_in_memory_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mode = tmp_path.stat().st_mode
    with closing(Database(None, SCHEMA, remedy="")) as database:
        with database.change() as execute:
            execute("INSERT INTO names VALUES (?)", "a")
        assert database.query("SELECT name FROM names") == [("a",)]
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mode == mode


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    database = opened(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    files = list((tmp_path / "data").iterdir())
    assert files
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    database.close()


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(CorruptIndexError, match=r"a\.sqlite: .*; delete it"):
        opened(tmp_path)


def test_a_database_on_a_read_only_disk_can_be_read(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("disks are mounted by root alone")
    with Disk(tmp_path / "disk", 4) as disk:
        with closing(opened(disk.folder)) as database, database.change() as execute:
            execute("INSERT INTO names VALUES (?)", "a")
        disk.writable(False)
        with closing(opened(disk.folder, read_only=True)) as database:
            assert database.query("SELECT name FROM names") == [("a",)]


def test_what_is_read_only_takes_no_change(tmp_path: Path) -> None:
    opened(tmp_path).close()
    database = opened(tmp_path, read_only=True)
    with pytest.raises(StorageError, match="readonly"), database.change() as execute:
        execute("INSERT INTO names VALUES (?)", "a")
    database.close()


def test_opening_waits_for_another_process_that_creates_the_file(tmp_path: Path) -> None:
    with closing(
        sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.1, lambda: other.execute("COMMIT")).start()
        database = opened(tmp_path)
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    database.close()
