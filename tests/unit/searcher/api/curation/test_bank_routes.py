"""Banks over HTTP: what is set about them decides, and only for their own keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator

from common.state.curation import CurationStore
from common.state.roles import Role
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.unit.searcher.api.test_api import RAW, axis
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
A, COPY = "a.mp4", "shows/copy of a.mp4"


def put(keyed: Keyed, bank: str, key: dict[str, str] | None = None, **body: Any) -> Any:
    headers = body.pop("headers", {})
    return keyed.ask("PUT", f"/v1/banks/{bank}", key or keyed.all, headers=headers, json=body)


def banks(keyed: Keyed, key: dict[str, str], query: str = "") -> list[str]:
    page = keyed.ask("GET", f"/v1/banks{query}", key)
    check(keyed, "BankPage", page.json())
    return [one["bank"] for one in page.json()["items"]]


def check(keyed: Keyed, model: str, value: Any) -> None:
    document = keyed.document
    schema = document["components"]["schemas"][model]
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def decisions(keyed: Keyed, query: str = "", **body: Any) -> dict[str, str]:
    answer = keyed.ask("POST", f"/v1/match{query}", keyed.all, **(body or {"content": b"a.mp4"}))
    assert answer.status_code == 200, answer.text
    return {one["video_id"]: one["decision"] for one in answer.json()["matches"]}


def test_banks_are_listed_with_the_policy_that_decides(keyed: Keyed) -> None:
    default = keyed.ask("GET", "/v1/banks/default", keyed.all)
    bank = default.json()
    check(keyed, "BankItem", bank)
    assert (bank["videos"], bank["enabled"], bank["updated_at"]) == (3, True, None)
    policy = keyed.api.catalogue.current().matcher.policies.default
    assert bank["policy"]["copy_probability"] == policy.copy_probability
    made = put(keyed, "news/tv", title="News", policy={"min_seconds": 3})
    assert made.status_code == 201, made.text
    assert made.json()["policy"] == {**bank["policy"], "min_seconds": 3.0}
    assert made.json()["policy_set"]["copy_probability"] is None
    assert keyed.ask("GET", "/v1/banks/news/tv", keyed.all).json() == made.json()
    assert banks(keyed, keyed.all) == ["default", "news/tv", "shows"]
    assert banks(keyed, keyed.all, "?limit=2") == ["default", "news/tv"]
    assert banks(keyed, keyed.all, "?cursor=news/tv") == ["shows"]
    unchanged = {"If-None-Match": default.headers["ETag"]}
    again = keyed.ask("GET", "/v1/banks/default", keyed.all, headers=unchanged)
    assert again.status_code == 304


def test_a_disabled_bank_is_not_matched(keyed: Keyed) -> None:
    assert decisions(keyed) == {A: "copy", COPY: "copy"}
    assert put(keyed, "shows", enabled=False).json()["enabled"] is False
    assert decisions(keyed) == {A: "copy"}
    assert decisions(keyed, "?bank=shows") == {}
    assert decisions(keyed, json={"video_id": A}) == {}
    assert decisions(keyed, json={"video_id": COPY}) == {A: "copy"}
    body = np.stack([axis(0)]).tobytes()
    for query, found in (("", {"default"}), ("?bank=shows", set()), ("?bank=default", {"default"})):
        answer = keyed.ask("POST", f"/v1/search{query}", keyed.all, content=body, headers=RAW)
        assert {hit["bank"] for hit in answer.json()["items"][0]} == found
    put(keyed, "shows")
    assert decisions(keyed) == {A: "copy", COPY: "copy"}


def test_the_policy_of_a_bank_decides_from_now_on(keyed: Keyed) -> None:
    assert decisions(keyed)[COPY] == "copy"
    assert put(keyed, "shows", policy={"min_coverage": 1.0, "min_seconds": 17.0}).status_code == 200
    # The query lasts 16 s.
    assert decisions(keyed) == {A: "copy"}
    assert put(keyed, "shows", policy={"copy_probability": 1.0}).status_code == 200
    assert decisions(keyed) == {A: "copy", COPY: "review"}
    matches = keyed.ask("GET", "/v1/matches?bank=shows", keyed.all).json()["items"]
    assert [one["rule"]["copy_probability"] for one in matches] == [1.0]


def test_an_unknown_bank_is_refused_until_it_is_set(keyed: Keyed) -> None:
    refused = keyed.ask("POST", "/v1/match?bank=new", keyed.all, content=b"a.mp4")
    assert error_of(refused) == (404, "unknown_bank")
    assert error_of(keyed.ask("GET", "/v1/banks/new", keyed.all)) == (404, "unknown_bank")
    assert error_of(keyed.ask("DELETE", "/v1/banks/new", keyed.all)) == (404, "unknown_bank")
    assert put(keyed, "new").status_code == 201
    assert decisions(keyed, "?bank=new") == {}
    assert keyed.ask("DELETE", "/v1/banks/new", keyed.all).status_code == 204
    assert error_of(keyed.ask("GET", "/v1/banks/new", keyed.all)) == (404, "unknown_bank")
    full = keyed.ask("DELETE", "/v1/banks/shows", keyed.all)
    assert error_of(full) == (409, "bank_not_empty")
    told = [(one["action"], one["status"]) for one in keyed.state.audit.page()[0]]
    changes = [("banks.delete", 404), ("banks.put", 201), ("banks.delete", 204)]
    assert told[::-1] == [*changes, ("banks.delete", 409)]


def test_a_key_sees_and_sets_only_its_banks(keyed: Keyed) -> None:
    put(keyed, "other", title="secret")
    assert banks(keyed, keyed.shows) == ["shows"]
    for bank in ("default", "other", "nowhere"):
        hidden = keyed.ask("GET", f"/v1/banks/{bank}", keyed.shows)
        assert error_of(hidden) == (404, "unknown_bank")
        assert error_of(put(keyed, bank, keyed.shows, enabled=False)) == (403, "forbidden")
        gone = keyed.ask("DELETE", f"/v1/banks/{bank}", keyed.shows)
        assert error_of(gone) == (404, "unknown_bank")
    assert put(keyed, "shows", keyed.shows, title="ours").status_code == 200
    reviewer = key_of(keyed.state, Role.REVIEWER)
    assert error_of(put(keyed, "shows", reviewer)) == (403, "forbidden")


def test_if_match_refuses_a_change_of_what_was_changed(keyed: Keyed) -> None:
    tag = keyed.ask("GET", "/v1/banks/shows", keyed.all).headers["ETag"]
    first = put(keyed, "shows", title="mine", headers={"If-Match": tag})
    late = put(keyed, "shows", title="theirs", headers={"If-Match": tag})
    assert (first.status_code, error_of(late)) == (200, (412, "precondition_failed"))
    new = put(keyed, "new", headers={"If-Match": first.headers["ETag"]})
    assert error_of(new) == (412, "precondition_failed")
    # There is no version of it yet, so not any either.
    assert error_of(put(keyed, "new", headers={"If-Match": "*"})) == (412, "precondition_failed")
    assert put(keyed, "shows", headers={"If-Match": "*"}).status_code == 200
    # In quotes it is the ETag of a version, which there is not.
    quoted = put(keyed, "shows", headers={"If-Match": '"*"'})
    assert error_of(quoted) == (412, "precondition_failed")


def test_if_match_sees_what_another_process_has_changed(keyed: Keyed) -> None:
    tag = put(keyed, "shows", title="mine").headers["ETag"]
    theirs = CurationStore(keyed.state.database)
    theirs.put_bank("shows", replace(theirs.current.banks["shows"], title="theirs"), None)
    late = put(keyed, "shows", title="mine again", headers={"If-Match": tag})
    assert error_of(late) == (412, "precondition_failed")
    assert theirs.read().banks["shows"].title == "theirs"
    theirs.put_bank("shows", replace(theirs.current.banks["shows"], negative=True), None)
    # A key for some banks cannot make it an ordinary bank either.
    assert error_of(put(keyed, "shows", keyed.shows)) == (403, "forbidden")


def test_a_bank_that_another_process_has_deleted_is_unknown(keyed: Keyed) -> None:
    put(keyed, "new")
    CurationStore(keyed.state.database).delete_bank("new")
    assert error_of(keyed.ask("DELETE", "/v1/banks/new", keyed.all)) == (404, "unknown_bank")


def test_if_match_does_not_compare_the_number_of_videos(keyed: Keyed) -> None:
    before = keyed.ask("GET", "/v1/banks/shows", keyed.all)
    keyed.ask("PATCH", "/v1/videos/a.mp4", keyed.all, json={"bank": "shows"})
    tag = before.headers["ETag"]
    now = keyed.ask("GET", "/v1/banks/shows", keyed.all, headers={"If-None-Match": tag})
    assert (now.status_code, now.json()["videos"]) == (200, before.json()["videos"] + 1)
    assert put(keyed, "shows", title="mine", headers={"If-Match": tag}).status_code == 200


def test_what_cannot_be_set_is_refused(keyed: Keyed) -> None:
    for wrong in (
        {"policy": {"copy_probability": 0.2, "review_probability": 0.5}},
        {"policy": {"copy_probability": 2}},
        {"policy": {"min_seconds": -1}},
        {"policy": {"unknown": 1}},
        {"policy": {"min_coverage": False}},
        {"enabled": "yes"},
        {"title": "x" * 201},
        {"name": "other"},
    ):
        assert error_of(put(keyed, "shows", **wrong)) == (400, "usage"), wrong
    for name in ("x" * 201, ""):
        assert error_of(put(keyed, name))[0] == 400
    assert keyed.state.curation.read().banks == {}


def answered(keyed: Keyed, key: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    given = body or {"content": b"a.mp4"}
    answer = keyed.ask("POST", "/v1/match", key or keyed.all, **given)
    assert answer.status_code == 200, answer.text
    check(keyed, "MatchAnswer", answer.json())
    return dict(answer.json())


def test_what_a_negative_bank_shows_is_no_match_of_other_banks(keyed: Keyed) -> None:
    assert put(keyed, "shows", negative=True).json()["negative"] is True
    answer = answered(keyed)
    assert (answer["decision"], answer["matches"], answer["action"]) == ("no_match", [], "allow")
    (negative,) = answer["negatives"]
    assert (negative["video_id"], negative["decision"]) == (COPY, "copy")
    (excepted,) = answer["excepted"]
    assert (excepted["video_id"], excepted["decision"]) == (A, "no_match")
    assert [one["video_id"] for one in excepted["negatives"]] == [COPY]
    assert all(one["bank"] != "shows" for one in answer["candidates"])
    # A query that is a negative video itself matches nothing.
    of_itself = answered(keyed, json={"video_id": COPY})
    assert (of_itself["decision"], of_itself["excepted"][0]["video_id"]) == ("no_match", A)
    path = f"/v1/matches/{excepted['match_id']}"
    stored = keyed.ask("GET", path, keyed.all).json()
    check(keyed, "StoredMatchItem", stored)
    assert (stored["decision"], stored["found_decision"]) == ("no_match", "copy")
    assert stored["ranges"][0]["negatives"][0]["video_id"] == COPY
    # A key of another bank is under the same rule, and is not told which video it is.
    default = key_of(keyed.state, Role.READER, ["default"])
    hidden = answered(keyed, default)
    assert (hidden["decision"], "negatives" in hidden) == ("no_match", False)
    assert {one["video_id"] for one in hidden["excepted"][0]["negatives"]} == {None}
    seen = keyed.ask("GET", path, default).json()["ranges"][0]["negatives"]
    assert {(one["video_id"], one["bank"]) for one in seen} == {(None, None)}
    put(keyed, "shows", negative=True, enabled=False)
    assert answered(keyed)["decision"] == "copy"


def test_only_a_key_for_all_banks_makes_a_bank_negative(keyed: Keyed) -> None:
    assert error_of(put(keyed, "shows", keyed.shows, negative=True)) == (403, "forbidden")
    assert put(keyed, "shows", negative=True).status_code == 200
    assert error_of(put(keyed, "shows", keyed.shows)) == (403, "forbidden")
    assert put(keyed, "shows", keyed.shows, negative=True, title="ours").status_code == 200


def test_actions_are_told_and_outside_of_its_share_a_bank_only_notifies(keyed: Keyed) -> None:
    first = answered(keyed)
    assert {one["action"] for one in first["matches"]} == {first["action"]} == {"block"}
    rules = [{"decision": "copy", "action": "review", "min_coverage": 0.5}]
    made = put(keyed, "shows", actions=rules).json()
    assert made["actions"] == [{**rules[0], "min_seconds": 0.0}]
    put(keyed, "default", share=0)
    answer = answered(keyed)
    assert {one["video_id"]: one["action"] for one in answer["matches"]} == {
        A: "notify",
        COPY: "review",
    }
    assert (answer["decision"], answer["action"]) == ("copy", "review")
    items = keyed.ask("GET", "/v1/matches", keyed.all).json()["items"]
    assert {one["ref_video_id"]: one["action"] for one in items} == {A: "notify", COPY: "review"}
    for wrong in ({"share": 2}, {"actions": [{"decision": "no_match", "action": "block"}]}):
        assert error_of(put(keyed, "shows", **wrong)) == (400, "usage")
