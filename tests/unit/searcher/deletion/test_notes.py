"""A deletion that an error or a crash interrupts is told to webhooks all the same, and once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.errors import StateError
from common.state.webhooks import NewWebhook
from common.work_in_progress import WorkInProgress
from searcher.deletion.notes import Deletion, DeletionNotes
from searcher.storage.video import Video
from tests.support.queries import error_of
from tests.unit.common.test_work_in_progress import crashed
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
VIDEO = Video("a.mp4", "/films/a.mp4", "shows")


def _interrupted(deletions: DeletionNotes) -> None:
    with deletions.begun("a.mp4", VIDEO):
        raise ZeroDivisionError


def test_what_a_crash_interrupted_is_ended_by_the_next_process(tmp_path: Path) -> None:
    notes = WorkInProgress.open(tmp_path, "test")
    deletions = DeletionNotes(notes)
    with pytest.raises(ZeroDivisionError):
        _interrupted(deletions)
    with deletions.begun("b.mp4", Video("b.mp4", "")):
        pass
    (name,) = notes.in_progress()
    notes.close()
    crashed(tmp_path, name)
    after = WorkInProgress.open(tmp_path, "test")
    ended: list[Deletion] = []
    for _ in range(2):
        DeletionNotes(after).recover(ended.append)
    after.close()
    (one,) = ended
    assert (one.video_id, one.event.type, one.event.data) == (
        "a.mp4",
        "video.deleted",
        {"video_id": "a.mp4", "bank": "shows"},
    )
    assert one.event.id in name


def test_what_an_error_interrupted_is_ended_after_an_orderly_restart(tmp_path: Path) -> None:
    deletions = DeletionNotes(WorkInProgress.open(tmp_path, "test"))
    with pytest.raises(ZeroDivisionError):
        _interrupted(deletions)
    deletions.close()
    for expected in (["a.mp4"], []):
        after = DeletionNotes(WorkInProgress.open(tmp_path, "test"))
        ended: list[Deletion] = []
        after.recover(ended.append)
        after.close()
        assert [one.video_id for one in ended] == expected


def test_an_unknown_video_is_no_deletion() -> None:
    deletions = DeletionNotes()
    with deletions.begun("a.mp4", None) as event:
        assert event is None


def test_the_next_attempt_tells_what_an_error_left_untold(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, _ = keyed.state.webhooks.create(NewWebhook("https://example.org/hook"))
    real = keyed.state.webhooks.enqueue

    def broken(*_: Any) -> None:
        raise StateError("the database is down")

    monkeypatch.setattr(keyed.state.webhooks, "enqueue", broken)
    answer = keyed.ask("DELETE", "/v1/videos/blind.mp4", keyed.all)
    assert error_of(answer)[0] == 503
    monkeypatch.setattr(keyed.state.webhooks, "enqueue", real)
    for _ in range(2):
        again = keyed.ask("DELETE", "/v1/videos/blind.mp4", keyed.all)
        assert error_of(again) == (404, "unknown_video")
    ((row,), _, _) = keyed.state.deliveries.page(webhook.id, None, None, 9)
    assert row.to_json()["event"]["data"] == {"video_id": "blind.mp4", "bank": "default"}
