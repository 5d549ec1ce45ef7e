"""The review page in a real browser, over a real service that requires keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.state.roles import Role
from tests.conftest import skip_or_fail
from tests.e2e.conftest import draw, storyhash
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

TITLE = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"


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
) -> Iterator[tuple[Service, str]]:
    """A service over a copy of the four films' index, and a reviewer's key. One title is an attack."""
    scratch = tmp_path_factory.mktemp("page")
    data = Path(shutil.copytree(indexed, scratch / "data"))
    manifest = scratch / "titles.jsonl"
    row = {"video_id": "a.mp4", "uri": str(films / "a.mp4"), "title": TITLE}
    manifest.write_text(json.dumps(row))
    run = storyhash("index", manifest, "--data", data, "--json")
    assert run.json["relabelled"], run.stderr
    with opened_state(data) as state:
        key = key_of(state, Role.REVIEWER)["Authorization"].removeprefix("Bearer ")
    settings = {
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_HTTP__REQUIRE_KEYS": "always",
        "STORYHASH_HTTP__CONTENT_FOLDERS": json.dumps([str(films)]),
        "STORYHASH_PROFILE": "offline",
        "STORYHASH_INGEST__WORKERS": "1",
    }
    made = Service("serve", ("serve", "--data", data), scratch / "log", settings, preloaded=True)
    made.start().ready()
    yield made, key
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


def test_a_mirrored_copy_is_named_in_words_and_stepped_through_by_keyboard(
    browser: Any, service: tuple[Service, str], tmp_path: Path
) -> None:
    running, key = service
    signed_in(browser, running.url, key)
    assert "4 videos" in wait_for(browser, ".drop .hint", "videos").text
    assert browser.execute_script("return [sessionStorage.length, localStorage.length]") == [1, 0]

    copy = draw(tmp_path / "<b>copy.mp4", 1, mirrored=True)
    browser.find_element("id", "file").send_keys(str(copy))
    told = wait_for(browser, ".verdict", "Copy").text
    assert told.startswith("Copy, mirrored")
    assert told.endswith(f"of {TITLE}.")
    assert "<b>copy.mp4" in wait_for(browser, ".headline .of").text
    assert wait_for(browser, ".summary", ">99.9 %")

    # Both files are at hand, so both players are shown, with pictures of the moments that decided.
    wait_for(browser, ".player video[aria-label=Query]")
    wait_for(browser, ".player video[aria-label=Reference]")
    wait_for(browser, ".stills canvas")
    undone = browser.find_element("css selector", ".player video").value_of_css_property(
        "transform"
    )
    assert undone == "matrix(-1, 0, 0, 1, 0, 0)"

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

    assert browser.execute_script("return window.attacked") is None
    assert browser.execute_script("return document.scripts.length") == 1
    assert errors(browser) == []
    assert is_accessible(browser)


def test_a_match_is_judged_excepted_and_put_back_by_keyboard(
    browser: Any, service: tuple[Service, str], films: Path
) -> None:
    running, key = service
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
        assert "copy ↔ a" in wait_for(browser, ".queue-row").text
        press(browser, "j")
        press(browser, "\ue007")  # enter
        wait_for(browser, ".said.copy")
        press(browser, "n")
        wait_for(browser, ".told", "Not a copy")
        assert stored() == ("copy", "not_copy", ["not_copy"])
        wait_for(browser, ".verdict-panel button", "Never match this pair").click()
        confirm = wait_for(browser, ".verdict-panel button", "Confirm")
        assert "one stored match" in wait_for(browser, ".verdict-panel .notice").text
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
    assert errors(browser) == []


def test_a_title_stays_text_in_the_catalogue(browser: Any, service: tuple[Service, str]) -> None:
    running, key = service
    signed_in(browser, f"{running.url}/#/catalogue", key)
    assert wait_for(browser, "tbody .name", "script").text == TITLE
    assert "4 of 4 videos" in wait_for(browser, ".count", "videos").text
    press(browser, "/")
    press(browser, "series")
    assert "1 of 1" in wait_for(browser, ".count", "of 1 ").text
    assert browser.execute_script("return window.attacked") is None
    assert errors(browser) == []
    assert is_accessible(browser)
