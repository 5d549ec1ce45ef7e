"""A deletion that a crash of the searcher interrupts is ended by the next process, when it has read the
log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.state.webhooks import NewWebhook
from common.work_in_progress import WorkInProgress
from searcher.deletion.notes import DeletionNotes
from storyhash.services.background import end_all
from storyhash.services.streaming.interrupted_deletions import InterruptedDeletions
from tests.support.services import wait_until
from tests.unit.common.test_work_in_progress import crashed
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]


def test_what_is_deleted_is_told_and_what_is_still_there_is_not(
    keyed: Keyed, tmp_path: Path
) -> None:
    webhook, _ = keyed.state.webhooks.create(NewWebhook("https://example.org/hook"))
    there = keyed.api.index.videos.page()[0][0].video_id
    notes = [json.dumps([f"evt_{name}", name, "default"]) for name in ("gone.mp4", there)]
    crashed(tmp_path, *notes)
    deletions = DeletionNotes()
    left = WorkInProgress.open(tmp_path, "test")
    deletions.open(left)
    asked: list[Any] = []

    def caught_up() -> Any:
        asked.append(None)
        return keyed.api.index if len(asked) > 2 else None

    def told() -> list[Any]:
        rows, _, _ = keyed.state.deliveries.page(webhook.id, None, None, 9)
        return [row.to_json()["event"]["data"]["video_id"] for row in rows]

    ending = InterruptedDeletions(deletions, caught_up, lambda: keyed.state)
    ending.start()
    try:
        wait_until(lambda: not left.left(), "the end of the deletions", 300, 0.01)
        assert ending.running
        assert not ending.trouble
    finally:
        end_all([ending])
        deletions.close()
    assert told() == ["gone.mp4"]
    assert len(asked) == 3
