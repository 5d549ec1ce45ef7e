"""What a producer has sent: a run that was stopped goes on as the same version, on any lane."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import CorruptIndexError, DataFolderError, StorageError
from common.types import CatalogEntry
from ingest.ledger import WORTH_A_RETRY, ProducerLedger, Sending, SendingPlan

LIVE, BACKFILL = "segments", "segments.backfill"


class Clock:
    """The Unix milliseconds at which the next run begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000
        monkeypatch.setattr("ingest.ledger.time.time_ns", lambda: self.now * 1_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ProducerLedger]:
    opened = ProducerLedger(tmp_path / "data")
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
    first = ProducerLedger(tmp_path / "data")
    a, _ = first.plan(LIVE, films).work
    first.done(LIVE, [a])
    # As if killed: nothing else is noted.
    first.close()
    clock.now = 2000
    second = ProducerLedger(tmp_path / "data")
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
    first = ProducerLedger(tmp_path)
    with pytest.raises(DataFolderError, match=r"another `storyhash ingest` uses .* --data"):
        ProducerLedger(tmp_path)
    first.close()
    ProducerLedger(tmp_path).close()


def test_a_damaged_ledger_says_what_to_do_and_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "producer.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(CorruptIndexError, match=r"delete it: everything is then sent again"):
        ProducerLedger(tmp_path)
    path.unlink()
    ProducerLedger(tmp_path).close()


def test_a_folder_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another folder with --data"):
        ProducerLedger(tmp_path / "file")


def test_a_disk_that_refuses_is_told_and_nothing_is_half_noted(
    ledger: ProducerLedger, films: list[CatalogEntry], clock: Clock
) -> None:
    work = ledger.plan(LIVE, films).work
    ledger._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="free some space or mend the permissions"):
        ledger.done(LIVE, work)
    ledger._db.execute("PRAGMA query_only = OFF")

    def broken() -> Iterator[Sending]:
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
