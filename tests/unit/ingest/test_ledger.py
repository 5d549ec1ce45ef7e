"""What a producer has sent: a run that was stopped goes on as the same version, on any lane."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import CorruptIndexError, DataFolderError, StorageError
from common.types import CatalogEntry
from ingest.ledger import ProducerLedger
from ingest.sending_plan import WORTH_A_RETRY, CatalogueState, SendingPlan, SendTask

LIVE, BACKFILL = "segments", "segments.backfill"


def open_ledger(folder: Path) -> ProducerLedger:
    """One whose log has the clock of the test."""
    return ProducerLedger(folder, lambda: time.time_ns() // 1_000_000)


class Clock:
    """The Unix milliseconds at which the next run begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000
        monkeypatch.setattr("time.time_ns", lambda: self.now * 1_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ProducerLedger]:
    opened = open_ledger(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def films(tmp_path: Path) -> list[CatalogEntry]:
    """Two files; what is in them does not matter."""
    return [film(tmp_path, name) for name in ("a", "b")]


def film(folder: Path, name: str, content: bytes = b"x") -> CatalogEntry:
    path = folder / f"{name}.mp4"
    path.write_bytes(content)
    return CatalogEntry(name, str(path), title=name.upper())


def versions(plan: SendingPlan) -> dict[str, int]:
    return {one.entry.video_id: one.version for one in plan.work}


def test_what_is_new_is_sent_as_the_moment_the_run_began(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    plan = ledger.plan(LIVE, films)
    assert versions(plan) == {"a": 1000, "b": 1000}
    assert (plan.unchanged, plan.refused) == (0, [])


def test_a_run_that_was_stopped_goes_on_with_the_same_versions(
    tmp_path: Path, films: list[CatalogEntry], clock: Clock
) -> None:
    first = open_ledger(tmp_path / "data")
    a, _ = first.plan(LIVE, films).work
    first.done(LIVE, [a])
    # As if killed: nothing else is noted.
    first.close()
    clock.now = 2000
    second = open_ledger(tmp_path / "data")
    plan = second.plan(LIVE, films)
    second.close()
    assert versions(plan) == {"b": 1000}
    assert plan.unchanged == 1


def test_what_was_sent_and_has_not_changed_is_left_out(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 2000
    plan = ledger.plan(LIVE, films)
    assert (plan.work, plan.unchanged) == ([], 2)


@pytest.mark.parametrize("state", ["begun", "done"])
@pytest.mark.parametrize("what", ["file", "title", "metadata", "bank"])
def test_what_has_changed_is_a_newer_version(
    tmp_path: Path, ledger: ProducerLedger, clock: Clock, what: str, state: str
) -> None:
    before = film(tmp_path, "a")
    work = ledger.plan(LIVE, [before]).work
    if state == "done":
        ledger.done(LIVE, work)
    told = {"title": "A", "bank": "default", "metadata": {}}
    if what == "file":
        film(tmp_path, "a", b"longer")
    else:
        told[what] = {"n": 1} if what == "metadata" else "other"
    clock.now = 2000
    after = CatalogEntry(before.video_id, before.uri, **told)  # type: ignore[arg-type]
    assert versions(ledger.plan(LIVE, [after])) == {"a": 2000}


def test_a_file_that_was_only_touched_counts_as_changed(
    tmp_path: Path, ledger: ProducerLedger, clock: Clock
) -> None:
    entry = film(tmp_path, "a")
    ledger.done(LIVE, ledger.plan(LIVE, [entry]).work)
    os.utime(entry.uri, (5, 5))
    clock.now = 2000
    assert versions(ledger.plan(LIVE, [entry])) == {"a": 2000}


def test_versions_grow_though_the_clock_goes_back(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 500
    assert versions(ledger.plan(LIVE, films, again=True)) == {"a": 1001, "b": 1001}


@pytest.mark.parametrize("state", ["begun", "done", "failed"])
def test_again_sends_everything_as_a_newer_version(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock, state: str
) -> None:
    work = ledger.plan(LIVE, films).work
    if state == "done":
        ledger.done(LIVE, work)
    if state == "failed":
        for one in work:
            ledger.failed(LIVE, one, "no_frames", "not one frame")
    clock.now = 2000
    assert versions(ledger.plan(LIVE, films, again=True)) == {"a": 2000, "b": 2000}


def test_what_lies_in_the_file_is_not_tried_again_until_it_changes(
    tmp_path: Path, ledger: ProducerLedger, clock: Clock
) -> None:
    entry = film(tmp_path, "a")
    (one,) = ledger.plan(LIVE, [entry]).work
    ledger.failed(LIVE, one, "no_frames", "not one frame of it could be decoded")
    clock.now = 2000
    plan = ledger.plan(LIVE, [entry])
    assert plan.work == []
    assert plan.refused == [(entry, "no_frames", "not one frame of it could be decoded")]
    film(tmp_path, "a", b"mended")
    assert versions(ledger.plan(LIVE, [entry])) == {"a": 2000}


@pytest.mark.parametrize("code", sorted(WORTH_A_RETRY))
def test_what_may_be_gone_the_next_time_is_tried_again_as_a_newer_version(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock, code: str
) -> None:
    for one in ledger.plan(LIVE, films).work:
        ledger.failed(LIVE, one, code, "not this time")
    clock.now = 2000
    assert versions(ledger.plan(LIVE, films)) == {"a": 2000, "b": 2000}


def test_what_is_unchanged_keeps_its_version_on_another_lane(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    """Or a backfill would bring back what was deleted since it was first sent."""
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 2000
    plan = ledger.plan(BACKFILL, films)
    assert versions(plan) == {"a": 1000, "b": 1000}
    ledger.done(BACKFILL, plan.work)
    assert ledger.plan(BACKFILL, films).unchanged == 2


def test_what_has_changed_is_a_newer_version_on_every_lane(
    tmp_path: Path, ledger: ProducerLedger, clock: Clock
) -> None:
    entry = film(tmp_path, "a")
    ledger.done(LIVE, ledger.plan(LIVE, [entry]).work)
    film(tmp_path, "a", b"longer")
    clock.now = 2000
    assert versions(ledger.plan(BACKFILL, [entry])) == {"a": 2000}
    # And back on the first lane it is what the other one made of it.
    clock.now = 3000
    assert versions(ledger.plan(LIVE, [entry])) == {"a": 3000}


def test_again_on_another_lane_is_newer_than_what_either_sent(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 500
    assert versions(ledger.plan(BACKFILL, films, again=True)) == {"a": 1001, "b": 1001}


@pytest.mark.parametrize("code", ["no_frames", "timeout"])
def test_a_version_that_failed_is_never_sent_again_under_its_number(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock, code: str
) -> None:
    """The searcher has the log forget what there was of it, by keys that hold the version."""
    for one in ledger.plan(LIVE, films).work:
        ledger.failed(LIVE, one, code, "no")
    clock.now = 2000
    assert versions(ledger.plan(BACKFILL, films)) == {"a": 2000, "b": 2000}


def test_it_is_known_what_is_out_whole_on_another_lane(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    a, _ = ledger.plan(LIVE, films).work
    ledger.done(LIVE, [a])
    # Planned, stopped, and planned again: `a` is whole both times, `b` never was.
    for _ in range(2):
        work = ledger.plan(BACKFILL, films).work
        assert [(one.entry.video_id, one.whole) for one in work] == [("a", True), ("b", False)]
    clock.now = 2000
    assert [one.whole for one in ledger.plan(BACKFILL, films, again=True).work] == [False, False]


def test_two_producers_cannot_use_one_ledger(tmp_path: Path) -> None:
    first = open_ledger(tmp_path)
    with pytest.raises(DataFolderError, match=r"another `storyhash ingest` uses .* --data"):
        open_ledger(tmp_path)
    first.close()
    open_ledger(tmp_path).close()


def test_a_damaged_ledger_says_what_to_do_and_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "producer.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(CorruptIndexError, match=r"delete it: every video is then sent again"):
        open_ledger(tmp_path)
    path.unlink()
    open_ledger(tmp_path).close()


def test_a_folder_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another folder with --data"):
        open_ledger(tmp_path / "file")


def test_a_disk_that_refuses_is_told_and_nothing_is_half_noted(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    work = ledger.plan(LIVE, films).work
    ledger.database.query("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="free some disk space or correct the permissions"):
        ledger.done(LIVE, work)
    ledger.database.query("PRAGMA query_only = OFF")

    def broken() -> Iterator[SendTask]:
        yield work[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.done(LIVE, broken())
    assert versions(ledger.plan(LIVE, films)) == {"a": 1000, "b": 1000}
    ledger.done(LIVE, work)
    assert ledger.plan(LIVE, films).unchanged == 2


def test_a_video_that_was_begun_and_is_now_cut_another_way_starts_anew_as_another_version(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    assert versions(ledger.plan(LIVE, films, cut="4s")) == {"a": 1000, "b": 1000}
    ledger.done(LIVE, ledger.plan(LIVE, films[1:], cut="4s").work)
    clock.now = 2000
    assert versions(ledger.plan(LIVE, films[:1], cut="4s")) == {"a": 1000}
    assert versions(ledger.plan(LIVE, films, cut="6s")) == {"a": 2000, "b": 2000}


def test_a_ledger_of_an_older_version_sends_nothing_again_but_what_it_left_half_sent(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    plan = ledger.plan(LIVE, films)
    ledger.done(LIVE, plan.work[:1])
    clock.now = 2000
    again = ledger.plan(LIVE, films, cut="4s")
    assert (versions(again), again.unchanged) == ({"b": 2000}, 1)


def test_what_is_searchable_is_kept_apart_from_what_was_sent(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 2000
    plan = ledger.plan(LIVE, films, known={"a": CatalogueState(version=1000)})
    assert (plan.lacking, plan.unchanged) == (["b"], 1)
    # The same version, so that what has come of it already is whole with the rest.
    assert versions(plan) == {"b": 1000}
    assert ledger.plan(LIVE, films).unchanged == 1


def test_what_the_catalogue_lacks_is_left_alone_while_embedders_are_behind(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    known = {"a": CatalogueState(waiting=1000)}
    plan = ledger.plan(LIVE, films, known=known, level=False)
    assert (plan.under_way, plan.work) == (["a", "b"], [])
    assert ledger.plan(LIVE, films, known=known).lacking == ["a", "b"]


@pytest.mark.parametrize("sent", [False, True])
def test_what_was_deleted_is_not_sent_to_a_catalogue_that_lacks_it(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock, sent: bool
) -> None:
    if sent:
        ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 2000
    known = {"a": CatalogueState(deleted=1500), "b": CatalogueState(version=3000, deleted=1500)}
    plan = ledger.plan(LIVE, films, known=known)
    assert plan.deleted == ["a"]
    # Of another producer and newer, or else it is sent as the newest.
    assert (plan.stale, versions(plan)) == ((["b"], {}) if sent else ([], {"b": 3001}))
    assert versions(ledger.plan(LIVE, films[:1], known=known, again=True)) == {"a": 2000}


def test_what_was_deleted_and_has_changed_since_is_sent(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 2000
    known = {"a": CatalogueState(deleted=1500), "b": CatalogueState(deleted=1500)}
    Path(films[0].uri).write_bytes(b"another film")
    plan = ledger.plan(LIVE, films, known=known)
    assert (plan.deleted, versions(plan)) == (["b"], {"a": 2000})
    # Stopped meanwhile it goes on, and sent but lost it is sent again: the deletion was of another one.
    assert versions(ledger.plan(LIVE, films, known=known)) == {"a": 2000}
    ledger.done(LIVE, plan.work)
    assert ledger.plan(LIVE, films, known=known).lacking == ["a"]


def test_what_was_sent_while_the_clock_was_in_another_century_is_sent_again(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    clock.now = 4_102_444_800_000
    ledger.done(LIVE, ledger.plan(LIVE, films).work)
    clock.now = 1_795_000_000_000
    assert versions(ledger.plan(LIVE, films)) == {"a": clock.now, "b": clock.now}


def test_what_an_older_ledger_calls_done_was_sent(
    tmp_path: Path, films: list[CatalogEntry], clock: Clock
) -> None:
    first = open_ledger(tmp_path / "data")
    first.done(LIVE, first.plan(LIVE, films).work)
    first.close()
    with closing(sqlite3.connect(tmp_path / "data" / "producer.sqlite")) as database, database:
        database.execute("UPDATE sent SET state = 'done'")
    second = open_ledger(tmp_path / "data")
    assert second.plan(LIVE, films).unchanged == 2
    second.close()


def test_each_ledger_has_a_name_that_stays(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b", "a"):
        opened = open_ledger(tmp_path / folder)
        names.append(opened.origin)
        opened.close()
    assert names[0] == names[2] != names[1]


def films_with_one_id(folder: Path) -> tuple[CatalogEntry, CatalogEntry]:
    """Two films on two disks, with the same path there."""
    disks = [folder / "disk1", folder / "disk2"]
    for disk in disks:
        disk.mkdir()
    return film(disks[0], "a", b"first"), film(disks[1], "a", b"the second")


def test_another_video_at_another_path_does_not_replace_the_first(
    clock: Clock, ledger: ProducerLedger, tmp_path: Path
) -> None:
    first, second = films_with_one_id(tmp_path)
    ledger.done(LIVE, ledger.plan(LIVE, [first]).work)
    clock.now += 1000
    plan = ledger.plan(LIVE, [second])
    assert not plan.work
    ((entry, code, message),) = plan.refused
    assert (entry, code) == (second, "name_taken")
    assert first.uri in message
    assert "manifest" in message
    assert ledger.plan(LIVE, [first]).unchanged == 1
    # An id that the user chose may name another file; so may one whose file is gone.
    assert versions(ledger.plan(LIVE, [second], chosen={"a"})) == {"a": 2000}
    clock.now += 1000
    Path(second.uri).unlink()
    assert versions(ledger.plan(LIVE, [first])) == {"a": 3000}


def test_a_video_that_takes_the_id_of_a_file_that_is_gone_is_told(
    clock: Clock, ledger: ProducerLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = films_with_one_id(tmp_path)
    ledger.done(LIVE, ledger.plan(LIVE, [first]).work)
    clock.now += 1000
    Path(first.uri).unlink()
    assert versions(ledger.plan(LIVE, [second])) == {"a": 2000}
    (record,) = caplog.records
    assert all(told in record.getMessage() for told in (first.uri, second.uri, "manifest"))
    caplog.clear()
    # It is told once, and not of a file that was only moved.
    ledger.plan(LIVE, [second])
    moved = Path(second.uri).rename(tmp_path / "a.mp4")
    ledger.plan(LIVE, [replace(second, uri=str(moved))])
    assert not caplog.records


def test_a_video_whose_path_cannot_be_looked_at_is_not_replaced(
    ledger: ProducerLedger, films: list[CatalogEntry]
) -> None:
    ledger.plan(LIVE, films[:1])
    # The system refuses such a name, as it refuses a path in a folder of somebody else.
    with ledger.database.change() as execute:
        execute("UPDATE place SET uri = ?", f"/{'x' * 300}/a.mp4")
    ((_, code, _),) = ledger.plan(LIVE, films[:1]).refused
    assert code == "name_taken"


def test_a_video_that_was_moved_is_sent_with_its_new_path(
    clock: Clock, ledger: ProducerLedger, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    old, new = film(tmp_path, "a"), film(tmp_path / "new", "a")
    ledger.done(LIVE, ledger.plan(LIVE, [old]).work)
    clock.now += 1000
    # The same content at both paths is the same video.
    assert versions(ledger.plan(LIVE, [new])) == {"a": 2000}
