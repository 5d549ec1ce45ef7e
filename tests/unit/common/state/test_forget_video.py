"""A deleted video is named nowhere, over both databases; what names another video stays."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from common.settings import Settings
from common.state.events import video_deleted, video_indexed
from common.state.idempotency import Once
from common.state.job_rows import CANCELLED, DONE, NewJob, new_job_id
from common.state.matches import FoundMatch
from common.state.state import State
from common.state.tables import METADATA
from common.state.verdicts import NewVerdict
from common.state.video_names import videos_named, without_video
from common.state.webhooks import NewWebhook
from storyhash.open_state import compact_state

OWNER = "here"
ITEM = {"video_id": "gone", "bank": "b", "score": 0.9}
KEPT = {"video_id": "kept", "bank": "b", "score": 0.8}
OF_UPLOAD = {"name": "up.mp4", "query": {"kind": "upload", "fingerprint": "sha256:1", "uri": "up"}}


def of_video(video_id: str) -> dict[str, Any]:
    query = {"kind": "video", "fingerprint": f"video:{video_id}", "uri": "/films/a"}
    return {"name": "a", "video_id": video_id, "query": query}


def add(state: State, request: dict[str, Any]) -> str:
    return state.jobs.add(NewJob(new_job_id(), OWNER, "k", 0, request))[0]


def run(state: State, request: dict[str, Any], result: dict[str, Any]) -> str:
    job_id = add(state, request)
    job = state.jobs.take(OWNER)
    assert job is not None
    assert job.id == job_id
    state.jobs.finish(job, DONE, result=result)
    return job_id


def counts(state: State, video_id: str) -> tuple[int, int, int]:
    stores = (state.jobs, state.deliveries, state.answers)
    return tuple(store.count_of(video_id) for store in stores)  # type: ignore[return-value]


def test_jobs_about_it_go_and_results_of_others_lose_it(state: State) -> None:
    result = {"decision": "copy", "matches": [ITEM, KEPT], "candidates": [ITEM]}
    run(state, of_video("gone"), {"decision": "no_match", "matches": []})
    other = run(state, of_video("kept"), result)
    uploaded = run(state, OF_UPLOAD, result)
    add(state, of_video("gone"))
    running = state.jobs.take(OWNER)
    add(state, of_video("gone"))
    assert counts(state, "gone")[0] == 5
    state.forget_video("gone")
    assert counts(state, "gone")[0] == 0
    jobs, _, total = state.jobs.page(None, None, 9)
    assert ([job.id for job in jobs], total) == ([uploaded, other], 2)
    for job_id in (uploaded, other):
        job = state.jobs.get(job_id, None)
        assert job is not None
        assert job.result == {"decision": "copy", "matches": [KEPT], "candidates": []}
    # The running one ends, and leaves nothing.
    assert running is not None
    assert state.jobs.is_cancelled(running.number)
    webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
    state.jobs.finish(running, CANCELLED)
    assert state.deliveries.page(webhook.id, None, None, 9)[2] == 0
    assert state.jobs.page(None, None, 9)[2] == 2


def best_non_match(video_id: str) -> dict[str, Any]:
    pair = {"segment_id": f"{video_id}@0-4000", "similarity": 0.5}
    return {
        "video_id": video_id,
        "uri": f"/films/{video_id}",
        "score": 0.4,
        "evidence": {"pairs": [pair]},
    }


def record(state: State, query: str, ref: str, **detail: Any) -> int:
    own = {"query": {"fingerprint": query, "video_id": None}, "ref_video_id": ref, **detail}
    return state.matches.record([FoundMatch(query, ref, "b", None, "copy", 0.9, own)])[0]


def detail_of(state: State, match_id: int) -> dict[str, Any]:
    match = state.matches.get(match_id, None)
    assert match is not None
    return match.detail


def bytes_of(state: State, settings: Settings) -> bytes:
    """All that the database has stored, once what was deleted is overwritten."""
    if settings.state.url is not None:
        with state.database.read() as connection:
            tables = [list(connection.execute(select(one))) for one in METADATA.sorted_tables]
        return repr(tables).encode()
    compact_state(settings)
    return b"".join(path.read_bytes() for path in settings.data_dir.glob("state.sqlite*"))


def test_no_match_of_two_other_videos_names_it(
    state: State, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.state.matches._STEP", 2)
    refers = {"video_id": "gone", "bank": "n", "query_start_seconds": 1.0}
    ids = [
        record(state, f"sha256:{n}", "ref", best_non_match=best_non_match("gone")) for n in range(5)
    ]
    ids.append(record(state, "sha256:5", "ref", negatives=[refers]))
    other = record(state, "sha256:6", "ref", best_non_match=best_non_match("kept"))
    assert state.matches.mentions_of("gone") == 6
    assert state.matches.count_of("gone") == 0
    assert b"/films/gone" in bytes_of(state, settings)
    state.forget_video("gone")
    assert state.matches.mentions_of("gone") == 0
    assert [detail_of(state, one)["best_non_match"] for one in ids[:5]] == [None] * 5
    assert detail_of(state, ids[5])["negatives"] == [{**refers, "video_id": None, "bank": None}]
    assert detail_of(state, other)["best_non_match"] == best_non_match("kept")
    left = bytes_of(state, settings)
    assert b"gone" not in left
    assert b"/films/kept" in left


def test_whom_a_match_names_is_as_it_was_found_last(state: State) -> None:
    record(state, "sha256:1", "ref", best_non_match=best_non_match("gone"))
    again = record(state, "sha256:1", "ref", best_non_match=best_non_match("kept"))
    assert (state.matches.mentions_of("gone"), state.matches.mentions_of("kept")) == (0, 1)
    # A limited key forgets only what its banks tell.
    state.forget_video("kept", frozenset({"other"}))
    assert state.matches.mentions_of("kept") == 1
    state.forget_video("ref")
    assert state.matches.get(again, None) is None
    assert state.matches.mentions_of("kept") == 0


def test_deliveries_go_whatever_their_state_but_not_those_of_its_deletion(state: State) -> None:
    webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
    detail = {"query": {"fingerprint": "sha256:1"}, "ref_video_id": "gone"}
    state.matches.record([FoundMatch("sha256:1", "gone", "b", None, "copy", 0.9, detail)])
    run(state, of_video("gone"), {"decision": "no_match"})
    state.webhooks.enqueue(video_indexed("gone", "b", 1), video_indexed("kept", "b", 1))
    first, *_ = state.deliveries.take((), 9, 60)
    state.deliveries.delivered(first, 200)
    rows, _, _ = state.deliveries.page(webhook.id, None, None, 9)
    assert {row.state for row in rows} == {"delivered", "pending"}
    assert counts(state, "gone")[1] == 3
    state.forget_video("gone")
    state.webhooks.enqueue(video_deleted("gone", "b"))
    rows, _, _ = state.deliveries.page(webhook.id, None, None, 9)
    assert [(row.type, row.to_json()["event"]["data"]["video_id"]) for row in rows] == [
        ("video.deleted", "gone"),
        ("video.indexed", "kept"),
    ]
    assert counts(state, "gone")[1] == 0
    # An attempt that was under way ends in nothing.
    state.deliveries.failed(first, 500, "the receiver is broken")
    assert counts(state, "gone")[1] == 0


def test_answers_kept_for_an_idempotency_key_go(state: State) -> None:
    def once(key: str) -> Once:
        return Once("k", "POST /v1/videos", key, "body")

    for key in ("gone", "kept"):
        state.answers.add(once(key), {"video_id": key, "title": f"title of {key}"})
    assert counts(state, "gone")[2] == 1
    state.forget_video("gone")
    assert counts(state, "gone")[2] == 0
    for key, known in (("gone", False), ("kept", True)):
        with state.answers.claimed(once(key)) as answer:
            assert (answer is not None) == known


def test_answers_with_a_verdict_on_its_match_go(state: State) -> None:
    def once(video_id: str) -> Once:
        return Once("k", "POST /v1/verdicts", video_id, "body")

    for video_id in ("gone", "kept"):
        found = FoundMatch("sha256:1", video_id, "b", None, "copy", 0.9, {})
        (match_id,) = state.matches.record([found])
        verdict = NewVerdict("copy", f"{video_id} is ours", "", None, None)
        assert state.verdicts.add(match_id, verdict, None, once(video_id)) is not None
    state.forget_video("gone")
    for video_id, known in (("gone", False), ("kept", True)):
        with state.answers.claimed(once(video_id)) as answer:
            assert (answer is not None) == known, video_id


def test_a_video_is_found_by_its_id_and_not_by_any_text_like_it(state: State) -> None:
    run(state, OF_UPLOAD, {"decision": "copy", "matches": [KEPT]})
    for like in ("copy", "up.mp4", "kep", "KEPT", "b", "%", "matches"):
        assert counts(state, like)[0] == 0, like
        state.forget_video(like)
    assert counts(state, "kept")[0] == 1
    odd = 'a "b"/ü%_\\'
    run(state, of_video(odd), {"decision": "no_match", "matches": []})
    assert counts(state, odd)[0] == 1
    state.forget_video(odd)
    assert counts(state, odd)[0] == 0


def test_of_an_unknown_video_a_limited_key_forgets_only_what_is_of_its_banks(state: State) -> None:
    run(state, OF_UPLOAD, {"decision": "copy", "matches": [ITEM]})
    state.matches.record([FoundMatch("sha256:1", "gone", "b", None, "copy", 0.9, {})])
    state.forget_video("gone", frozenset({"other"}))
    assert (state.matches.count_of("gone"), *counts(state, "gone")) == (1, 1, 0, 0)


def test_a_range_that_refers_to_a_video_stays_without_its_name() -> None:
    refers = {"video_id": "gone", "bank": "b", "query_start_seconds": 1.0}
    value = {"matches": [{**KEPT, "negatives": [refers]}], "best_non_match": None}
    assert videos_named(value) == {"gone", "kept"}
    assert without_video({"best_non_match": ITEM}, "gone") == {"best_non_match": None}
    cut = without_video(value, "gone")
    assert videos_named(cut) == {"kept"}
    assert cut["matches"][0]["negatives"] == [
        {"video_id": None, "bank": None, "query_start_seconds": 1.0}
    ]
