"""Matches are kept, judged and excepted over HTTP, and later answers obey."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from common.state.matches import FoundMatch
from common.state.roles import Role
from common.state.webhooks import NewWebhook
from searcher.review.reviews import Reviews
from tests.support.keys import key_of
from tests.support.queries import error_of, message_of
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
A, COPY = "a.mp4", "shows/copy of a.mp4"
LISTS = ("matches", "exceptions")


class Reviewing:
    """The four films; an upload of the first was matched by a caller of all banks."""

    def __init__(self, keyed: Keyed) -> None:
        self.keyed = keyed
        self.reviewer = key_of(keyed.state, Role.REVIEWER)
        self.shows = key_of(keyed.state, Role.REVIEWER, ["shows"])
        self.answer = self.match()

    def match(self, **body: Any) -> dict[str, Any]:
        answer = self.keyed.ask(
            "POST", "/v1/match", self.reviewer, **(body or {"content": b"a.mp4"})
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, method: str, path: str, key: dict[str, str] | None = None, **body: Any) -> Any:
        return self.keyed.ask(method, path, key or self.reviewer, **body)

    def match_id(self, video_id: str, answer: dict[str, Any] | None = None) -> int:
        items = (answer or self.answer)["matches"]
        return int(next(one["match_id"] for one in items if one["video_id"] == video_id))

    def decision(self, video_id: str, answer: dict[str, Any]) -> str:
        items = [*answer["matches"], *answer.get("excepted", ())]
        return str(next(one["decision"] for one in items if one["video_id"] == video_id))

    def check_schema(self, route: str, method: str, status: str, value: Any) -> None:
        document = self.keyed.document
        content = document["paths"][route][method]["responses"][status]["content"]
        schema = content["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.fixture
def review(keyed: Keyed) -> Reviewing:
    return Reviewing(keyed)


def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(review: Reviewing) -> None:
    for method, path, allowed in (
        ("PUT", "/v1/exceptions", "GET, HEAD, POST"),
        ("OPTIONS", "/v1/exceptions/1", "DELETE, GET, HEAD"),
        # Not the deletion of a video whose id ends in "/matches".
        ("DELETE", f"/v1/videos/{A}/matches", "GET, HEAD"),
    ):
        answer = review.ask(method, path)
        assert error_of(answer) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


def test_an_id_that_ends_like_a_path_is_an_id_when_its_slash_is_encoded(review: Reviewing) -> None:
    assert review.ask("GET", f"/v1/videos/{A}/matches").json()["total"] == 1
    encoded = review.ask("GET", f"/v1/videos/{A}%2Fmatches")
    assert error_of(encoded) == (404, "unknown_video")
    assert "matches'" in message_of(encoded)


def test_an_answer_names_its_matches_and_they_are_kept(review: Reviewing) -> None:
    answer = review.answer
    assert answer["query"]["fingerprint"].startswith("sha256:")
    page = review.ask("GET", "/v1/matches").json()
    review.check_schema("/v1/matches", "get", "200", page)
    assert {one["ref_video_id"]: one["id"] for one in page["items"]} == {
        A: review.match_id(A),
        COPY: review.match_id(COPY),
    }
    assert (page["total"], page["next_cursor"]) == (2, None)
    assert all("match_id" in one for one in answer["matches"])
    assert all("match_id" not in one for one in answer["candidates"])
    # The same upload again is the same match.
    assert review.match_id(A, review.match()) == review.match_id(A)


def test_one_match_tells_why(review: Reviewing) -> None:
    found = review.ask("GET", f"/v1/matches/{review.match_id(A)}")
    match = found.json()
    review.check_schema("/v1/matches/{match_id}", "get", "200", match)
    item = next(one for one in review.answer["matches"] if one["video_id"] == A)
    (told,) = match["ranges"]
    assert told["ref_end_seconds"] == item["ref_end_seconds"]
    pair = told["evidence"]["pairs"][0]
    assert f"{A}@{1000 * pair['ref_start_seconds']:.0f}-" in pair["segment_id"]
    assert (match["query"]["kind"], match["query"]["video_id"]) == ("upload", None)
    rule = match["rule"]
    assert rule["name"] == "copy_probability"
    assert rule["margin"] == pytest.approx(match["probability"] - rule["threshold"], abs=1e-4)
    unchanged = {"If-None-Match": found.headers["ETag"]}
    again = review.ask("GET", f"/v1/matches/{match['id']}", headers=unchanged)
    assert (again.status_code, again.content) == (304, b"")


def test_the_best_non_match_is_of_the_same_bank(review: Reviewing) -> None:
    answer = review.match(json={"video_id": A})
    match = review.ask("GET", f"/v1/matches/{review.match_id(COPY, answer)}").json()
    assert match["query"]["video_id"] == A
    # In its own bank there is no other video.
    assert match["best_non_match"] is None


def test_a_key_of_a_bank_sees_and_judges_only_its_matches(review: Reviewing) -> None:
    page = review.ask("GET", "/v1/matches", review.shows).json()
    assert [one["ref_video_id"] for one in page["items"]] == [COPY]
    hidden = f"/v1/matches/{review.match_id(A)}"
    for method, path in (("GET", hidden), ("GET", f"{hidden}/verdicts")):
        assert error_of(review.ask(method, path, review.shows)) == (404, "unknown_match")
    body = {"json": {"verdict": "copy"}}
    refused = review.ask("POST", f"{hidden}/verdicts", review.shows, **body)
    assert error_of(refused) == (404, "unknown_match")
    elsewhere = review.ask("GET", "/v1/matches?bank=default", review.shows)
    assert error_of(elsewhere) == (403, "forbidden")
    # A match with a query of another bank is not for them either.
    review.match(json={"video_id": A})
    assert review.ask("GET", "/v1/matches", review.shows).json()["total"] == 1


def test_verdicts_are_kept_with_their_author_and_audited(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}"
    for verdict in ("copy", "licensed", "none"):
        added = review.ask("POST", f"{path}/verdicts", json={"verdict": verdict, "reason": "why"})
        assert added.status_code == 201, added.text
        review.check_schema("/v1/matches/{match_id}/verdicts", "post", "201", added.json())
        latest = review.ask("GET", path).json()["verdict"]
        assert latest == (None if verdict == "none" else added.json())
    history = review.ask("GET", f"{path}/verdicts?limit=2").json()
    assert [one["verdict"] for one in history["items"]] == ["none", "licensed"]
    assert history["items"][0]["author"] == "reviewer"
    assert (history["total"], history["next_cursor"]) == (3, str(history["items"][1]["id"]))
    assert len(review.ask("GET", path).json()["verdicts"]) == 3
    changes, _ = review.keyed.state.audit.page()
    assert [(one["action"], one["object"]) for one in changes] == [
        ("verdicts.add", str(review.match_id(A)))
    ] * 3


def test_a_verdict_is_one_of_five(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}/verdicts"
    for body in ({"verdict": "maybe"}, {}, {"verdict": "copy", "note": "x" * 4001}):
        assert error_of(review.ask("POST", path, json=body)) == (400, "usage")
    unknown = review.ask("POST", "/v1/matches/999/verdicts", json={"verdict": "copy"})
    assert error_of(unknown) == (404, "unknown_match")


def test_a_post_with_an_idempotency_key_is_done_once(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}/verdicts"
    given = {"headers": {"Idempotency-Key": "mine"}, "json": {"verdict": "copy"}}
    first, again = (review.ask("POST", path, **given) for _ in range(2))
    assert first.json() == again.json()
    assert (first.headers.get("Idempotency-Replayed"), again.status_code) == (None, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = review.ask("POST", path, headers=given["headers"], json={"verdict": "unsure"})
    assert error_of(other) == (422, "idempotency_key_reused")
    for key in ("", "é".encode(), "x" * 201):
        bad = review.ask("POST", path, headers={"Idempotency-Key": key}, json={"verdict": "copy"})
        assert error_of(bad) == (400, "usage")


def test_an_excepted_range_is_no_match_any_more(review: Reviewing) -> None:
    body = {"kind": "range", "ref_video_id": A, "start_seconds": 0, "end_seconds": 16}
    body["reason"] = "intro"
    tried = review.ask("POST", "/v1/exceptions?dry_run=true", json=body)
    assert (tried.status_code, tried.json()["id"]) == (200, None)
    assert tried.json()["affected"] == {"total": 1, "match_ids": [review.match_id(A)]}
    assert review.decision(A, review.match()) == "copy"
    added = review.ask("POST", "/v1/exceptions", json=body)
    assert added.status_code == 201, added.text
    review.check_schema("/v1/exceptions", "post", "201", added.json())
    assert review.ask("GET", added.headers["Location"]).json()["author"] == "reviewer"
    answer = review.match()
    review.check_schema("/v1/match", "post", "200", answer)
    (item,) = answer["excepted"]
    assert item["video_id"] == A
    assert A not in {one["video_id"] for one in answer["matches"]}
    told = {"id": added.json()["id"], "kind": "range", "reason": "intro"}
    assert (item["decision"], item["exceptions"]) == ("no_match", [told])
    assert review.decision(COPY, answer) == answer["decision"] == "copy"
    stored = review.ask("GET", f"/v1/matches/{review.match_id(A)}").json()
    assert (stored["decision"], stored["found_decision"]) == ("no_match", "copy")
    assert stored["ranges"][0]["exceptions"] == [told["id"]]
    assert review.ask("DELETE", added.headers["Location"]).status_code == 204
    assert review.decision(A, review.match()) == "copy"
    assert review.ask("GET", f"/v1/matches/{stored['id']}").json()["decision"] == "copy"
    actions = [one["action"] for one in review.keyed.state.audit.page()[0]]
    assert actions == ["exceptions.delete", "exceptions.add"]


def test_an_excepted_pair_concerns_its_query_alone(review: Reviewing) -> None:
    body = {"kind": "pair", "ref_video_id": COPY, "reason": "licensed"}
    body["query_fingerprint"] = review.answer["query"]["fingerprint"]
    assert review.ask("POST", "/v1/exceptions", json=body).status_code == 201
    assert review.decision(COPY, review.match()) == "no_match"
    assert review.decision(A, review.match()) == "copy"
    assert review.decision(COPY, review.match(json={"video_id": A})) == "copy"
    page = review.ask("GET", "/v1/exceptions?kind=pair").json()
    review.check_schema("/v1/exceptions", "get", "200", page)
    assert [one["ref_video_id"] for one in page["items"]] == [COPY]


def test_an_exception_is_only_for_references_that_the_caller_may_see(review: Reviewing) -> None:
    body = {"kind": "range", "ref_video_id": A, "start_seconds": 0, "end_seconds": 9, "reason": "x"}
    refused = review.ask("POST", "/v1/exceptions", review.shows, json=body)
    nowhere = review.ask("POST", "/v1/exceptions", json={**body, "ref_video_id": "b.mp4"})
    assert error_of(refused) == error_of(nowhere) == (404, "unknown_video")
    added = review.ask("POST", "/v1/exceptions", json=body).headers["Location"]
    for method in ("GET", "DELETE"):
        hidden = review.ask(method, added, review.shows)
        assert error_of(hidden) == (404, "unknown_exception")
    assert review.ask("GET", "/v1/exceptions", review.shows).json()["total"] == 0


def test_an_excepted_pair_tells_no_key_of_a_query_that_it_may_not_see(review: Reviewing) -> None:
    body = {"kind": "pair", "ref_video_id": COPY, "reason": "x"}
    body["query_fingerprint"] = f"video:{A}"
    place = review.ask("POST", "/v1/exceptions", json=body).headers["Location"]
    for key, told in ((review.reviewer, f"video:{A}"), (review.shows, None)):
        shown = review.ask("GET", place, key).json()
        (listed,) = review.ask("GET", "/v1/exceptions", key).json()["items"]
        assert shown["query_fingerprint"] == listed["query_fingerprint"] == told
        asked = review.ask("GET", f"/v1/exceptions?query_fingerprint=video:{A}", key)
        assert asked.json()["total"] == (told is not None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "pair"},
        {"kind": "pair", "query_fingerprint": "md5:1"},
        {"kind": "range", "start_seconds": 4, "end_seconds": 4},
        {"kind": "range", "start_seconds": 4},
        {"kind": "range", "start_seconds": 0, "end_seconds": 1, "query_fingerprint": "video:a"},
        {"kind": "pair", "query_fingerprint": "video:a", "start_seconds": 1},
    ],
)
def test_an_exception_that_is_neither_pair_nor_range_is_refused(
    review: Reviewing, wrong: dict[str, Any]
) -> None:
    body = {"ref_video_id": A, "reason": "x", **wrong}
    refused = review.ask("POST", "/v1/exceptions", json=body)
    assert error_of(refused) == (400, "usage")
    assert "Value error" not in message_of(refused)


def test_the_matches_of_a_video_are_those_it_asks_and_those_it_answers(review: Reviewing) -> None:
    review.match(json={"video_id": A})
    page = review.ask("GET", f"/v1/videos/{A}/matches").json()
    pairs = {(one["query"]["video_id"], one["ref_video_id"]) for one in page["items"]}
    assert pairs == {(None, A), (A, COPY)}
    assert review.ask("GET", f"/v1/videos/{COPY}/matches").json()["total"] == 2
    hidden = review.ask("GET", f"/v1/videos/{A}/matches", review.shows)
    assert error_of(hidden) == (404, "unknown_video")
    assert review.ask("GET", f"/v1/videos/{A}").json()["video_id"] == A


def test_a_deleted_video_leaves_no_match_and_no_exception(review: Reviewing) -> None:
    body = {"kind": "pair", "ref_video_id": COPY, "query_fingerprint": "video:x", "reason": "x"}
    review.ask("POST", "/v1/exceptions", json=body)
    gone = review.ask("DELETE", f"/v1/videos/{COPY}", review.keyed.all)
    assert gone.status_code == 204
    page = review.ask("GET", "/v1/matches").json()
    assert [one["ref_video_id"] for one in page["items"]] == [A]
    assert review.ask("GET", "/v1/exceptions").json()["total"] == 0


def test_a_video_that_is_deleted_while_it_is_matched_leaves_no_match(
    review: Reviewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, index = review.keyed.state.matches, review.keyed.api.index
    record = store.record

    def deleted_meanwhile(found: Any) -> list[int]:
        index.delete_videos([COPY])
        return record(found)

    monkeypatch.setattr(store, "record", deleted_meanwhile)
    review.match()
    page = review.ask("GET", "/v1/matches").json()
    assert [one["ref_video_id"] for one in page["items"]] == [A]


def test_a_video_that_is_deleted_while_it_is_excepted_has_no_exception(
    review: Reviewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, add = review.keyed.state.exceptions, review.keyed.state.exceptions.add

    def deleted_meanwhile(*given: Any, **options: Any) -> Any:
        review.keyed.api.index.delete_videos([COPY])
        return add(*given, **options)

    monkeypatch.setattr(store, "add", deleted_meanwhile)
    body = {"kind": "pair", "ref_video_id": COPY, "query_fingerprint": "video:x", "reason": "x"}
    assert review.ask("POST", "/v1/exceptions", json=body).status_code == 201
    assert store.count_of(COPY) == 0


def test_a_video_of_another_bank_is_the_best_non_match_no_more(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}"
    match = review.ask("GET", path).json()
    place = f"/v1/videos/{match['best_non_match']['video_id']}"
    for bank, shown in (("theirs", None), ("default", match["best_non_match"])):
        moved = review.ask("PATCH", place, review.keyed.all, json={"bank": bank})
        assert moved.status_code == 200, moved.text
        assert review.ask("GET", path).json() == {**match, "best_non_match": shown}
        pack = review.ask("GET", f"{path}/evidence").json()
        assert pack["match"]["best_non_match"] == shown


def test_a_deleted_video_is_the_best_non_match_no_more(
    review: Reviewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/matches/{review.match_id(A)}"
    match = review.ask("GET", path).json()
    other = match["best_non_match"]["video_id"]
    assert review.ask("DELETE", f"/v1/videos/{other}", review.keyed.all).status_code == 204
    again = review.ask("GET", path).json()
    assert again == {**match, "best_non_match": None}
    review.check_schema("/v1/matches/{match_id}", "get", "200", again)
    receipt = review.ask("GET", f"/v1/videos/{other}/erasure", review.keyed.all).json()
    assert receipt["erased"], receipt
    # The same for one that is deleted while it is compared.
    record, index = review.keyed.state.matches.record, review.keyed.api.index
    deleted: list[str] = []

    def deleted_meanwhile(found: Any) -> list[int]:
        deleted.extend(one.detail["best_non_match"]["video_id"] for one in found[:1])
        index.delete_videos([deleted[0]])
        return record(found)

    monkeypatch.setattr(review.keyed.state.matches, "record", deleted_meanwhile)
    review.match()
    assert review.ask("GET", path).json()["best_non_match"] is None
    assert review.keyed.state.matches.mentions_of(deleted[0]) == 0


def test_no_answer_names_the_path_of_an_upload(review: Reviewing) -> None:
    index, state = review.keyed.api.index, review.keyed.state
    before = review.ask("GET", f"/v1/matches/{review.match_id(A)}").json()
    folder = str(index.uploads.path(A, "f" * 64, "x").parent.parent)

    def show(video_id: str) -> str:
        path = str(index.uploads.path(video_id, "f" * 64, "film.mp4"))
        index.videos.move(video_id, path, "", "")
        return path

    # A match that an earlier version stored.
    old = state.matches.get(before["id"], None)
    assert old is not None
    named = {**old.detail, "ref_uri": show(A)}
    other = old.detail["best_non_match"]
    named["best_non_match"] = {**other, "uri": show(other["video_id"])}
    state.matches.record([FoundMatch("sha256:old", A, "default", None, "copy", 0.9, named)])
    webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
    answer = review.match(json={"video_id": A})
    assert answer["query"]["uri"] == "/v1/videos/a.mp4/content"
    found = review.match()
    assert next(one for one in found["matches"] if one["video_id"] == A)["uri"] == (
        "/v1/videos/a.mp4/content"
    )
    texts = [json.dumps([answer, found]), review.ask("GET", f"/v1/videos/{A}").text]
    listed = review.ask("GET", "/v1/matches")
    texts += [listed.text, review.ask("GET", "/v1/matches", headers={"Accept": "text/csv"}).text]
    for one in listed.json()["items"]:
        path = f"/v1/matches/{one['id']}"
        texts += [review.ask("GET", path).text, review.ask("GET", f"{path}/evidence").text]
    texts += [row.body for row in state.deliveries.page(webhook.id, None, None, 99)[0]]
    assert len(texts) > 9
    assert all("/v1/videos/a.mp4/content" in text for text in texts[:2])
    assert [text for text in texts if folder in text or "f" * 64 in text] == []


@pytest.mark.parametrize("since", ["yesterday", "9" * 30, "2026-13-01"])
def test_since_is_a_time(review: Reviewing, since: str) -> None:
    assert error_of(review.ask("GET", f"/v1/matches?since={since}")) == (400, "usage")
    assert review.ask("GET", "/v1/matches?since=2020-01-01T00:00:00Z").json()["total"] == 2


@pytest.mark.parametrize(
    "since", ["2020-01-01T00:00:00+00:00", "2020-01-01T00:00:00.5+0100", "2020-01-01 00:00"]
)
def test_a_time_of_an_answer_may_be_pasted_into_an_address(review: Reviewing, since: str) -> None:
    """The plus, which is not encoded, arrives as a space."""
    assert review.ask("GET", f"/v1/matches?since={since}").json()["total"] == 2


def test_a_query_parameter_that_a_route_does_not_have_is_refused(
    review: Reviewing, tmp_path: Path
) -> None:
    for method, path in (
        *(("GET", "/v1/matches?descision=copy"), ("GET", "/v1/videos?banc=x")),
        *(("POST", "/v1/match?bnak=shows"), ("POST", "/v1/search?topk=3")),
        *(("GET", f"/v1/videos/{A}?x="), ("DELETE", f"/v1/videos/{A}?force=1")),
    ):
        refused = review.ask(method, path, review.keyed.all)
        assert error_of(refused) == (422, "unknown_parameter"), path
    assert review.keyed.api.index.videos.get(A) is not None


def test_several_matches_are_judged_alike(review: Reviewing) -> None:
    ids = [review.match_id(A), review.match_id(COPY)]
    body = {"match_ids": [*ids, ids[0]], "verdict": "not_copy", "reason": "parody"}
    once = {"Idempotency-Key": "1"}
    added = review.ask("POST", "/v1/verdicts", json=body, headers=once)
    assert added.status_code == 201, added.text
    review.check_schema("/v1/verdicts", "post", "201", added.json())
    assert [item["match_id"] for item in added.json()["items"]] == ids
    again = review.ask("POST", "/v1/verdicts", json=body, headers=once)
    assert again.json() == added.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = review.ask("POST", "/v1/verdicts", json={**body, "match_ids": ids[:1]}, headers=once)
    assert error_of(other) == (422, "idempotency_key_reused")
    page = review.ask("GET", "/v1/matches?verdict=not_copy").json()
    assert {match["verdict"]["reason"] for match in page["items"]} == {"parody"}
    assert page["total"] == 2
    # A key of one bank sees one of the two, and judges neither.
    shows = key_of(review.keyed.state, Role.REVIEWER, ["shows"])
    refused = review.ask("POST", "/v1/verdicts", shows, json={**body, "verdict": "copy"})
    assert error_of(refused) == (404, "unknown_match")
    assert review.ask("GET", "/v1/matches?verdict=copy").json()["total"] == 0
    for wrong in ({**body, "match_ids": []}, {**body, "match_ids": [1] * 201}):
        assert error_of(review.ask("POST", "/v1/verdicts", json=wrong)) == (400, "usage")


def test_an_idempotency_key_is_of_one_request_about_whichever_matches(review: Reviewing) -> None:
    once = {"Idempotency-Key": "1"}
    body = {"match_ids": [review.match_id(A)], "verdict": "copy"}
    unknown = review.ask("POST", "/v1/verdicts", json={**body, "match_ids": [999]}, headers=once)
    assert error_of(unknown) == (404, "unknown_match")
    # A request that failed has not used its key.
    assert review.ask("POST", "/v1/verdicts", json=body, headers=once).status_code == 201
    other = {**body, "match_ids": [review.match_id(COPY)]}
    refused = review.ask("POST", "/v1/verdicts", json=other, headers=once)
    assert error_of(refused) == (422, "idempotency_key_reused")
    assert review.ask("GET", "/v1/matches?verdict=copy").json()["total"] == 1


def test_matches_as_csv(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}/verdicts"
    reason = '=HYPERLINK("x"), "two\nlines"'
    assert review.ask("POST", path, json={"verdict": "copy", "reason": reason}).status_code == 201
    csv_type = {"Accept": "text/csv, */*;q=0.1"}
    answer = review.ask("GET", "/v1/matches?limit=1&decision=copy", headers=csv_type)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Link"].endswith('>; rel="next"')
    following = answer.headers["Link"][1:].partition(">")[0]
    assert "limit=1&decision=copy&cursor=" in following
    rest = review.ask("GET", following, headers=csv_type)
    assert "Link" not in rest.headers
    rows = [row for one in (answer, rest) for row in csv.DictReader(io.StringIO(one.text))]
    assert {row["ref_video_id"] for row in rows} == {A, COPY}
    (judged,) = [row for row in rows if row["ref_video_id"] == A]
    # No spreadsheet takes it for a formula.
    assert judged["verdict_reason"] == f"'{reason}"
    assert judged["query_fingerprint"].startswith("sha256:")
    assert float(judged["query_end_seconds"]) > float(judged["query_start_seconds"])


def test_matches_have_the_titles_that_their_videos_have_now(review: Reviewing) -> None:
    review.match(json={"video_id": A})
    for video_id, title in ((A, "Tea"), (COPY, "Tea again")):
        changed = review.ask(
            "PATCH", f"/v1/videos/{video_id}", review.keyed.all, json={"title": title}
        )
        assert changed.status_code == 200, changed.text

    def titles(page: str) -> set[tuple[str, str]]:
        items = review.ask("GET", page).json()["items"]
        return {(one["query"].get("title", ""), one["ref_title"]) for one in items}

    assert titles("/v1/matches") == {("", "Tea"), ("", "Tea again"), ("Tea", "Tea again")}
    number = review.match_id(A)
    whole = review.ask("GET", f"/v1/matches/{number}").json()
    review.check_schema("/v1/matches/{match_id}", "get", "200", whole)
    assert whole["ref_title"] == "Tea"
    pack = review.ask("GET", f"/v1/matches/{number}/evidence").json()
    assert f"compared with Tea ({A})." in pack["words"][0]
    text = review.ask("GET", "/v1/matches", headers={"Accept": "text/csv"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["ref_title"] for row in rows} == {"Tea", "Tea again"}
    # The id may have become that of another bank's video.
    review.keyed.api.index.delete_videos([A])
    assert ("", "") in titles("/v1/matches")


def test_feedback_tells_precision_per_bank_and_where_people_disagree(review: Reviewing) -> None:
    disputed, ours = review.match_id(A), review.match_id(COPY)
    for key, match_id, verdict in (
        (review.reviewer, disputed, "copy"),
        (key_of(review.keyed.state, Role.REVIEWER), disputed, "not_copy"),
        (review.shows, ours, "copy"),
    ):
        path = f"/v1/matches/{match_id}/verdicts"
        assert review.ask("POST", path, key, json={"verdict": verdict}).status_code == 201
    page = review.ask("GET", "/v1/feedback").json()
    review.check_schema("/v1/feedback", "get", "200", page)
    assert {one["bank"]: one["precision"] for one in page["items"]} == {"default": 0, "shows": 1}
    first = review.ask("GET", "/v1/feedback?limit=1").json()
    rest = review.ask("GET", f"/v1/feedback?cursor={first['next_cursor']}").json()
    assert first["items"] + rest["items"] == page["items"]
    hidden = review.ask("GET", "/v1/feedback", review.shows).json()
    assert [one["bank"] for one in hidden["items"]] == ["shows"]
    for kind in ("reviewers", "decision"):
        listed = review.ask("GET", f"/v1/matches?disagreement={kind}").json()
        review.check_schema("/v1/matches", "get", "200", listed)
        (match,) = listed["items"]
        assert (match["id"], match["disagreement"]) == (disputed, ["reviewers", "decision"])


def test_a_match_or_exception_that_is_stored_while_its_video_gets_another_bank_follows_it(
    review: Reviewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, videos = review.keyed.state, review.keyed.api.index.videos

    def moving_to(bank: str, work: Any) -> Any:
        def work_late(*given: Any, **more: Any) -> Any:
            video = videos.get(COPY)
            assert video is not None
            videos.note_edit(replace(video, bank=bank), video.description)
            Reviews(lambda: state).move_video(COPY, bank)
            return work(*given, **more)

        return work_late

    def shown() -> list[int]:
        return [review.ask("GET", f"/v1/{what}", review.shows).json()["total"] for what in LISTS]

    body = {"kind": "range", "ref_video_id": COPY, "start_seconds": 0, "end_seconds": 16}
    assert shown() == [1, 0]
    with monkeypatch.context() as patched:
        patched.setattr(state.matches, "record", moving_to("other", state.matches.record))
        answer = review.match(content=b"a.mp4")
    assert COPY in {one["video_id"] for one in answer["matches"]}
    assert shown() == [0, 0]
    with monkeypatch.context() as patched:
        patched.setattr(state.exceptions, "add", moving_to("shows", state.exceptions.add))
        review.ask("POST", "/v1/exceptions", json={**body, "reason": "intro"})
    assert shown() == [1, 1]
    assert review.decision(COPY, review.match()) == "no_match"
