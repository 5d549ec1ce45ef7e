"""What follows when a video has become searchable is done even if the process ended just then."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import Mock

import pytest

from common.errors import StateError
from common.state.keys import NewKey
from common.state.quotas import Quota, Use
from common.state.roles import Role
from common.state.webhooks import NewWebhook
from common.work_in_progress import WorkInProgress
from searcher.review.reviews import Reviews
from storyhash.services.serve.indexed_videos import IndexedVideos
from tests.support.keys import opened_state
from tests.unit.common.test_work_in_progress import crashed
from tests.unit.searcher.api.test_api import Api, api

__all__ = ["api"]


@pytest.mark.parametrize("match", [True, False])
def test_a_video_that_became_searchable_before_a_crash_is_told_and_matched(
    api: Api, tmp_path: Path, match: bool
) -> None:
    crashed(tmp_path, "a.mp4 remote", "gone, never indexed.mp4 remote")
    in_hand = WorkInProgress.open(tmp_path, "test")
    with opened_state(tmp_path / "state") as state:
        webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
        indexed = IndexedVideos(
            api.catalogue.current(), Reviews(lambda: state), api.metrics, None, match=match
        )
        for _ in range(2):
            indexed.recover(in_hand)
        rows, _, _ = state.deliveries.page(webhook.id, None, None, 10)
    told = [row.to_json() for row in reversed(rows)]
    found = ["video.indexed", *(["match.found"] if match else [])]
    assert [one["type"] for one in told] == found
    assert told[0]["event"]["data"]["video_id"] == "a.mp4"
    # The other one is indexed again, as long as it is wanted.
    assert in_hand.left() == ["gone, never indexed.mp4 remote"]
    in_hand.close()


def test_a_video_that_became_searchable_before_a_crash_counts_for_the_quota_once(
    api: Api, tmp_path: Path
) -> None:
    crashed(tmp_path, "a.mp4 remote")
    in_hand = WorkInProgress.open(tmp_path, "test")
    with opened_state(tmp_path / "state") as state:
        quota = Quota(video_seconds_per_day=1000)
        key, _ = state.keys.create(NewKey("a", Role.WRITER, quota=quota))
        state.quotas.note_payer("a.mp4", key.id)
        indexed = IndexedVideos(
            api.catalogue.current(), Reviews(lambda: state), api.metrics, None, match=False
        )
        for _ in range(2):
            indexed.recover(in_hand)
        used = state.quotas.spend(key.id, Quota(), Use()).use.video_seconds
    video = api.index.videos.get("a.mp4")
    assert video is not None
    assert used == math.ceil(video.duration_seconds) > 0
    in_hand.close()


def test_a_video_is_followed_up_again_if_the_database_was_down(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(tmp_path, "a.mp4 remote")
    in_hand = WorkInProgress.open(tmp_path, "test")
    with opened_state(tmp_path / "state") as state:
        webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
        indexed = IndexedVideos(
            api.catalogue.current(), Reviews(lambda: state), api.metrics, None, match=True
        )
        for store, method in ((state.webhooks, "enqueue"), (state.matches, "record")):
            with monkeypatch.context() as patch:
                patch.setattr(store, method, Mock(side_effect=StateError("it is down")))
                with pytest.raises(StateError):
                    indexed.recover(in_hand)
        indexed.recover(in_hand)
        rows, _, _ = state.deliveries.page(webhook.id, None, None, 10)
    # A receiver tells repetitions by their id.
    assert len({row.event_id for row in rows}) == 2
    assert in_hand.left() == []
    in_hand.close()


def test_a_video_that_crashes_the_process_when_it_is_matched_is_told_and_not_matched_again(
    api: Api, tmp_path: Path
) -> None:
    for _ in range(3):
        crashed(tmp_path, "a.mp4 remote")
    in_hand = WorkInProgress.open(tmp_path, "test")
    with opened_state(tmp_path / "state") as state:
        webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
        reviews = Reviews(lambda: state)
        IndexedVideos(api.catalogue.current(), reviews, api.metrics, None, match=True).recover(
            in_hand
        )
        (row,), _, _ = state.deliveries.page(webhook.id, None, None, 10)
    assert row.type == "video.indexed"
    assert in_hand.left() == []
    in_hand.close()
