"""The evidence pack: complete, with hashes that anyone can check, and an HTML page without a script."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from common.thumbnails import Thumbnail
from searcher.evidence.page import evidence_page
from searcher.evidence.words import clock, rule_words
from tests.support.queries import error_of
from tests.unit.searcher.api.review.test_review_routes import COPY, A, Reviewing, review
from tests.unit.searcher.api.test_key_access import keyed

__all__ = ["keyed", "review"]
ATTACK = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\" '"


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def pack_of(review: Reviewing, video_id: str = A) -> dict[str, Any]:
    answer = review.ask("GET", f"/v1/matches/{review.match_id(video_id)}/evidence")
    assert answer.status_code == 200, answer.text
    review.check_schema("/v1/matches/{match_id}/evidence", "get", "200", answer.json())
    return dict(answer.json())


def test_the_pack_has_the_match_its_words_and_the_hashes_of_files_and_pictures(
    review: Reviewing, tmp_path: Path
) -> None:
    index = review.keyed.api.index
    film = tmp_path / "film.mp4"
    film.write_bytes(b"the film")
    row = index.videos.get(A)
    assert row is not None
    index.videos.move(A, str(film), "", "f")
    review.answer = review.match(json={"video_id": COPY})
    thumbnails = index.thumbnails.begin(A)
    thumbnails.add([Thumbnail(0.0, b"a picture")])
    thumbnails.finish()
    number = review.match_id(A)
    review.ask("POST", f"/v1/matches/{number}/verdicts", json={"verdict": "copy", "reason": "seen"})
    exception = {"kind": "range", "ref_video_id": A, "start_seconds": 0, "end_seconds": 1}
    review.ask("POST", "/v1/exceptions", json={**exception, "reason": "intro"})
    pack = pack_of(review)
    assert pack["match"]["id"] == number
    assert pack["match"]["verdicts"][0]["reason"] == "seen"
    assert pack["words"][0].endswith(f"compared with {A}.")
    assert [one["reason"] for one in pack["exceptions"]] == ["intro"]
    query, reference = pack["files"]
    assert (query["sha256"], query["note"]) == (None, "the file is not on this machine any more")
    assert reference["sha256"] == hashlib.sha256(b"the film").hexdigest()
    assert (reference["bytes"], reference["read"]) == (8, True)
    for pair in pack["pairs"]:
        shown, original = pair["pictures"]
        assert (shown["side"], shown["picture"]) == ("query", None)
        assert base64.b64decode(original["picture"]) == b"a picture"
        assert original["sha256"] == hashlib.sha256(b"a picture").hexdigest()
    assert pack["pairs"]


def test_the_hash_of_an_upload_is_that_of_its_bytes(review: Reviewing) -> None:
    upload = pack_of(review)["files"][0]
    assert upload["sha256"] == hashlib.sha256(b"a.mp4").hexdigest()
    assert upload["read"] is False


def test_only_who_may_see_the_match_gets_it(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}/evidence"
    assert error_of(review.ask("GET", path, review.shows)) == (404, "unknown_match")
    assert review.keyed.ask("GET", path, {}).status_code == 401


def test_the_page_has_no_script_and_refers_to_nothing(review: Reviewing) -> None:
    path = f"/v1/matches/{review.match_id(A)}/evidence"
    answer = review.keyed.ask(
        "GET", path, {**review.reviewer, "Accept": "text/html,application/xhtml+xml"}
    )
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith("attachment")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy
    assert "script" not in {tag for tag, _ in Tags(answer.text).found}


@pytest.mark.parametrize("where", ["uri", "title", "reason", "author", "words"])
def test_text_of_users_stays_text(review: Reviewing, where: str) -> None:
    pack = pack_of(review)
    plain = Tags(evidence_page(pack)).found
    match = pack["match"]
    if where == "uri":
        match["query"]["uri"] = pack["files"][1]["uri"] = ATTACK
    elif where == "title":
        match["ref_video_id"] = ATTACK
    elif where == "words":
        pack["words"].append(ATTACK)
        pack["model"]["model_id"] = ATTACK
        plain.append(("p", {}))
    else:
        verdict = {"verdict": "copy", "reason": "", "note": "", "author": "Ann", "created_at": ""}
        match["verdicts"] = [{**verdict, where: "x"}]
        plain = Tags(evidence_page(pack)).found
        match["verdicts"] = [{**verdict, where: ATTACK}]
    page = evidence_page(pack)
    # The same tags as with harmless text, so none of it became a tag or an attribute.
    assert sorted(map(str, Tags(page).found)) == sorted(map(str, plain))
    assert "alert(1)" in page
    assert not re.search(r"<script|<img src=x", page)


def test_words_tell_times_and_margins() -> None:
    assert [clock(seconds) for seconds in (0, 5.04, 59.96, 3600.5)] == [
        "0:00.0",
        "0:05.0",
        "1:00.0",
        "1:00:00.5",
    ]
    rule = {"name": "copy_probability", "threshold": 0.9, "margin": 0.0999}
    assert rule_words(rule, 0.9999, "news") == (
        "A copy needs a probability of at least 90.0 % in bank news; this match is 10.0 percentage "
        "points above."
    )
