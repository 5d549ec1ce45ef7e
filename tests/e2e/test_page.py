"""The review page in a real browser, over a real service that requires keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np
import pytest

from common.state.roles import Role
from common.thumbnails import Thumbnail
from common.types import UInt8Array
from common.video import encode_video
from embedder.visual.views import VIEW_NAMES
from searcher.storage.thumbnails import ThumbnailStore
from searcher.transform.edit_words import edit_words
from storyhash.client import Client
from storyhash.samples import FRAMES_PER_SECOND, film, mirror
from tests.conftest import skip_or_fail
from tests.e2e.conftest import copied, small, storyhash
from tests.support.browser import (
    missing,
    opened_browser,
    resize,
    serious_problems,
    set_colours,
    wait_for,
)
from tests.support.keys import key_of, opened_state
from tests.support.services import Service
from tests.unit.searcher.transform.test_edit_words import TOLD

# What the page says of matches.
CHANGES = """
const [matches, done] = arguments;
import("/page/words.js").then(({ changes }) => done(matches.map(changes)), (error) => done(`${error}`));
"""
TITLE = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"


class Served(NamedTuple):
    """A running service, and the keys of a reviewer and of an admin."""

    running: Service
    key: str
    admin: str


def cropped(frame: UInt8Array) -> UInt8Array:
    """The middle of the picture, a tenth less on each side, as large as the whole."""
    height, width = frame.shape[:2]
    middle = frame[height // 10 : -(height // 10), width // 10 : -(width // 10)]
    return cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    how = missing()
    if how:
        skip_or_fail("browser", how)
    with opened_browser() as made:
        yield made


@pytest.fixture(scope="module")
def service(
    indexed: Path, films: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service over a copy of the four films' index. One title is an attack, one has a thumbnail."""
    scratch = tmp_path_factory.mktemp("page")
    data = copied(indexed, scratch)
    manifest = scratch / "titles.jsonl"
    row = {"video_id": "a.mp4", "uri": str(films / "a.mp4"), "title": TITLE}
    manifest.write_text(json.dumps(row))
    run = storyhash("index", manifest, "--data", data, "--json")
    assert run.json["relabelled"], run.stderr
    pictures = ThumbnailStore(data).begin("a.mp4")
    _, webp = cv2.imencode(".webp", np.full((54, 96, 3), 200, np.uint8))
    pictures.add([Thumbnail(0.0, webp.tobytes())])
    pictures.finish()
    with opened_state(data) as state:
        key, admin = (
            key_of(state, role)["Authorization"].removeprefix("Bearer ")
            for role in (Role.REVIEWER, Role.ADMIN)
        )
    settings = {
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_HTTP__REQUIRE_KEYS": "always",
        "STORYHASH_HTTP__CONTENT_FOLDERS": json.dumps([str(films)]),
        "STORYHASH_PROFILE": "offline",
        "STORYHASH_INGEST__WORKERS": "1",
    }
    made = Service("serve", ("serve", "--data", data), scratch / "log", settings, preloaded=True)
    made.start().ready()
    yield Served(made, key, admin)
    assert made.stop() == 0, made.text()


def errors(browser: Any) -> list[str]:
    """What the console has reported since the last call; a refused key is no error of the page."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")
        if entry["level"] == "SEVERE" and "401 (Unauthorized)" not in entry["message"]
    ]


def signed_in(browser: Any, url: str, key: str) -> None:
    """Open the page in a tab that has no key yet, and give it one."""
    browser.get(url)
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    wait_for(browser, "#key-reason", "This service needs an API key.")
    wait_for(browser, "#key-input").send_keys(key + "\n")


def seconds(browser: Any) -> float:
    return float(browser.find_element("css selector", ".scrubber").get_attribute("value"))


def press(browser: Any, keys: str) -> None:
    browser.switch_to.active_element.send_keys(keys)


def is_accessible(browser: Any) -> bool:
    """Whether axe finds nothing serious, wide and light and narrow and dark; and nothing is cut off."""
    for width, scheme in ((1280, "light"), (360, "dark")):
        resize(browser, width, 900)
        set_colours(browser, scheme)
        assert serious_problems(browser) == [], (width, scheme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    resize(browser, 1280, 900)
    return True


def test_a_mirrored_cropped_copy_is_named_in_words_stepped_through_confirmed_and_its_intro_excepted(
    browser: Any, service: Served, tmp_path: Path
) -> None:
    running, key, admin = service
    signed_in(browser, running.url, key)
    assert wait_for(browser, ".drop .hint", "4 videos")
    assert browser.execute_script("return [sessionStorage.length, localStorage.length]") == [1, 0]

    copy = tmp_path / "<b>copy.mp4"
    encode_video(copy, small(map(cropped, map(mirror, film(1, 6.0)))), FRAMES_PER_SECOND)
    browser.find_element("id", "file").send_keys(str(copy))
    told = wait_for(browser, ".verdict", "Copy").text
    assert told.startswith("Copy, mirrored, cropped to the centre")
    assert "the whole upload (6 s) is 0:00" in told.replace("\u00a0", " ")
    assert told.endswith(f"of {TITLE}.")
    assert wait_for(browser, ".headline .of", "<b>copy.mp4")
    assert wait_for(browser, ".summary", ">99.9 %")

    # Both files are at hand, so both players are shown, with pictures of the moments that decided.
    wait_for(browser, ".player video[aria-label=Query]")
    wait_for(browser, ".player video[aria-label=Reference]")
    wait_for(browser, ".stills canvas")
    # Mirrored back, and as small as the part that the original shows.
    undone = browser.find_element("css selector", ".player video").value_of_css_property(
        "transform"
    )
    across, _, _, down, *_ = map(float, undone.removeprefix("matrix(").removesuffix(")").split(","))
    assert (across, down) == pytest.approx((-0.8, 0.8), abs=0.05)
    assert wait_for(browser, ".non-match canvas", shown=False)

    press(browser, "r")
    at = seconds(browser)
    press(browser, ".")
    assert 0 < seconds(browser) - at < 0.2
    press(browser, ",")
    assert seconds(browser) == pytest.approx(at, abs=0.02)
    press(browser, "\ue012")  # arrow left
    assert seconds(browser) == pytest.approx(max(0, at - 1), abs=0.02)
    press(browser, "m")
    shown = browser.find_element("css selector", ".player video")
    assert shown.value_of_css_property("transform") == "none"
    press(browser, " ")
    assert wait_for(browser, ".controls .primary", "Pause")
    press(browser, " ")
    assert wait_for(browser, ".controls .primary", "Play")
    assert seconds(browser) >= at - 1

    press(browser, "c")
    assert wait_for(browser, ".told b", "Copy")
    press(browser, "e")
    for name, text in (("from", "0:00"), ("to", "0:01"), ("why", "intro")):
        field = wait_for(browser, f".range-form input[id^={name}-]")
        field.clear()
        field.send_keys(text)
    press(browser, "\ue007")  # enter
    assert wait_for(browser, ".verdict-panel .notice", "0 stored matches")
    press(browser, "\ue007")  # the button that confirms
    assert wait_for(browser, ".verdict-panel .notice", "Reason: intro")
    with Client(running.url, admin) as client:
        (match,) = client.list_matches(verdicts=["copy"]).items
        assert (match.ref_video_id, match.query.uri) == ("a.mp4", copy.name)
        (intro,) = client.list_exceptions(ref_video_id="a.mp4").items
        assert (intro.start_seconds, intro.end_seconds, intro.reason) == (0, 1, "intro")
        done = [change.action for change in client.list_changes().items]
        assert done[:2] == ["exceptions.add", "verdicts.add"]
        pack = client.evidence_of_match(match.id)
        assert [one.id for one in pack.exceptions] == [intro.id]
        assert all(file.sha256 for file in pack.files)
        assert intro.id is not None
        client.delete_exception(intro.id)

    assert browser.execute_script("return window.attacked") is None
    assert browser.execute_script("return document.scripts.length") == 1
    assert errors(browser) == []
    assert is_accessible(browser)


def test_the_page_names_an_edit_in_the_words_of_the_other_answers(
    browser: Any, service: Served
) -> None:
    browser.get(service.running.url)
    matches = [
        {**match, "decision": decision}
        for match in (*(match for match, _ in TOLD), *({"view": view} for view in VIEW_NAMES))
        for decision in ("copy", "review", "no_match")
    ]
    assert browser.execute_async_script(CHANGES, matches) == list(map(edit_words, matches))


def test_a_match_is_judged_excepted_and_put_back_by_keyboard(
    browser: Any, service: Served, films: Path
) -> None:
    running, key, _ = service
    with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {key}"}) as client:
        film = (films / "a.mp4").read_bytes()
        octets = {"Content-Type": "application/octet-stream"}
        answer = client.post("/v1/match?name=copy.mp4", content=film, headers=octets, timeout=60)
        number = answer.json()["matches"][0]["match_id"]

        def stored() -> tuple[str, str | None, list[str]]:
            match = client.get(f"/v1/matches/{number}").json()
            verdict = match["verdict"] and match["verdict"]["verdict"]
            return match["decision"], verdict, [one["verdict"] for one in match["verdicts"]]

        signed_in(browser, f"{running.url}/#/queue", key)
        assert wait_for(browser, ".queue-row", f"copy ↔ {TITLE}")
        press(browser, "j")
        press(browser, "\ue007")  # enter
        wait_for(browser, ".said.copy")
        press(browser, "n")
        wait_for(browser, ".told", "Not a copy")
        assert stored() == ("copy", "not_copy", ["not_copy"])
        wait_for(browser, ".verdict-panel button", "Never match this pair").click()
        confirm = wait_for(browser, ".verdict-panel button", "Confirm")
        assert wait_for(browser, ".verdict-panel .notice", "one stored match")
        assert stored()[0] == "copy"
        confirm.click()
        wait_for(browser, ".said.no_match", "Excepted")
        assert stored()[0] == "no_match"
        assert serious_problems(browser) == []
        wait_for(browser, ".verdict-panel button", "Remove this exception").click()
        wait_for(browser, ".said.copy")
        press(browser, "z")
        wait_for(browser, ".history li", "Withdrawn", shown=False)
        assert stored() == ("copy", None, ["none", "not_copy"])
        press(browser, "q")
        wait_for(browser, ".queue-row")
        press(browser, "j")
        press(browser, "x")
        assert wait_for(browser, ".bulk", "One selected")
        assert serious_problems(browser) == []
        press(browser, "U")
        wait_for(browser, ".count", "No match")
        assert stored()[1] == "unsure"
    assert errors(browser) == []


def test_the_catalogue_shows_titles_as_text_thumbnails_states_and_banks(
    browser: Any, service: Served
) -> None:
    running, key, _ = service
    signed_in(browser, f"{running.url}/#/catalogue", key)
    assert wait_for(browser, "tbody .name", "script").text == TITLE
    assert wait_for(browser, ".count", "4 of 4 videos")
    assert wait_for(browser, "canvas.shown")
    assert wait_for(browser, ".ingest button", "4 ready")
    wait_for(browser, "details.card summary", "Banks").click()
    assert wait_for(browser, "details.card li", "4 videos")
    browser.execute_script("document.activeElement.blur()")
    press(browser, "/")
    press(browser, "series")
    assert wait_for(browser, ".count", "1 of 1")
    assert browser.execute_script("return window.attacked") is None
    assert errors(browser) == []
    assert is_accessible(browser)


def test_the_api_is_shown_at_docs_and_can_be_tried(browser: Any, service: Served) -> None:
    running, key, _ = service
    signed_in(browser, f"{running.url}/docs", key)
    wait_for(browser, ".docs summary", "GET /v1/videos")
    routes = [one.text for one in browser.find_elements("css selector", ".docs summary code")]
    document = httpx.get(f"{running.url}/openapi.json", headers={"Authorization": f"Bearer {key}"})
    assert len(routes) == sum(map(len, document.json()["paths"].values()))
    (shown,) = [
        one
        for one in browser.find_elements("css selector", ".docs details")
        if one.find_element("css selector", "code").text == "GET /v1/banks"
    ]
    shown.find_element("css selector", "summary").click()
    wait_for(browser, ".docs details[open] form button").click()
    assert wait_for(browser, ".docs details[open] form p", "Status").text == "Status 200"
    assert is_accessible(browser)
    assert errors(browser) == []
