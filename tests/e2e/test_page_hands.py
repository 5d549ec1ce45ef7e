"""The review page in hasty hands: double clicks, held keys, work that is cancelled at once, broken
addresses, files that the browser cannot play, and a proxy that answers for the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from storyhash.client import Client
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.e2e.test_page import Served, browser, errors, press, service, signed_in
from tests.e2e.test_page_troubles import found, matched, state_of
from tests.support.browser import wait_for
from tests.support.services import wait_until

__all__ = ["browser", "service"]
ENTER = "\ue007"
# Questions about the catalogue are answered only when `answerNow` is called.
SLOW = """
const fetched = window.fetch;
window.sent = 0;
XMLHttpRequest.prototype.send = () => { window.sent += 1; };
window.fetch = (path, options) => !String(path).startsWith("/v1/videos") ? fetched(path, options)
  : new Promise((done, fail) => {
    options.signal?.addEventListener("abort", () => fail(options.signal.reason));
    window.answerNow = () => fetched(path, options).then(done, fail);
  });
"""
# An upload goes on when `go` is called.
HELD = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) { window.go = () => send.call(this, body); };
"""
# Whether the page can be left without a question.
LEAVES = "return window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
# A proxy has its own page for every upload.
PROXY = """
window.XMLHttpRequest = class {
  upload = {};
  open() {}
  abort() {}
  setRequestHeader() {}
  send() {
    Object.assign(this, { status: 200, responseText: "<html>" });
    setTimeout(() => this.onload());
  }
};
"""
# And for every list of matches.
PROXY_OF_LISTS = """
const fetched = window.fetch;
window.fetch = async (path, ...rest) =>
  String(path).startsWith("/v1/matches") ? new Response("<html>") : fetched(path, ...rest);
"""
# There is always one more page of CSV.
ENDLESS = """
const fetched = window.fetch;
const headers = { Link: '</v1/matches?more>; rel="next"' };
window.fetch = async (path, options) => options.headers?.Accept === "text/csv"
  ? new Response("id\\n1\\n", { headers }) : fetched(path, options);
"""
# The service has no time for titles, for the other matches of a query, and for evidence.
BUSY = """
const fetched = window.fetch;
const rare = /^\\/v1\\/videos\\/[^/?]+$|query_fingerprint|evidence$/;
const body = JSON.stringify({ error: { code: "busy", message: "try again later" } });
window.fetch = async (path, ...rest) =>
  rare.test(path) ? new Response(body, { status: 503 }) : fetched(path, ...rest);
"""
# The first answer to how many videos are ready comes late.
LATE = """
const fetched = window.fetch;
let first = true;
window.fetch = async (path, ...rest) => {
  const answer = await fetched(path, ...rest);
  if (first && String(path).includes("state=ready")) {
    first = false;
    await new Promise((done) => (window.answerNow = done));
  }
  return answer;
};
"""
# Notes how a file that the page makes begins.
BLOBS = """
const made = URL.createObjectURL;
URL.createObjectURL = (blob) => {
  blob.slice(0, 5).arrayBuffer().then((start) => (window.start = [...new Uint8Array(start)]));
  return made(blob);
};
"""
# Notes which whole files are fetched; `slow`: they never come.
FILES = """
const fetched = window.fetch;
window.files = [];
window.fetch = (path, options) => {
  if (!String(path).endsWith("/content") || options.headers?.Range) return fetched(path, options);
  window.files.push([path, options.signal]);
  return window.slow ? new Promise(() => {}) : fetched(path, options);
};
"""
# Notes all videos that the page makes; a hidden one never gets to the moment of a still.
VIDEOS = """
const create = document.createElement.bind(document);
const { get, set } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
window.videos = [];
document.createElement = (tag, ...rest) => {
  const made = create(tag, ...rest);
  if (tag === "video") window.videos.push(made);
  return made;
};
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
  get,
  set(seconds) { if (this.isConnected) set.call(this, seconds); else this.waits = true; },
});
"""
# The browser lets the page keep nothing.
FORBIDDEN = """
const get = () => { throw new DOMException("no", "SecurityError"); };
for (const name of ["sessionStorage", "localStorage"]) Object.defineProperty(window, name, { get });
"""
# A job goes on for ever, and began long ago.
FOR_EVER = """
const [fetched, now] = [window.fetch, performance.now.bind(performance)];
window.fetch = (path, ...rest) => String(path).startsWith("/v1/jobs/")
  ? new Promise(() => { performance.now = () => now() + 4e6; }) : fetched(path, ...rest);
"""
# The key u goes down, or is held down.
PRESSED = """
const event = { key: "u", bubbles: true, repeat: arguments[0] };
document.body.dispatchEvent(new KeyboardEvent("keydown", event));
"""


def broken(browser: Any) -> list[str]:
    """Errors of the page's own code, unlike answers 4xx of the service."""
    return [one for one in errors(browser) if "Failed to load resource" not in one]


@contextmanager
def several(served: Served, films: Path) -> Iterator[list[int]]:
    """Ids of three matches without a verdict, newest first."""
    match = found(served, films)
    with state_of(served) as state:
        ids = state.matches.record([replace(match, fingerprint=f"sha256:{name}") for name in "abc"])
        yield ids[::-1]


def opened_ask(browser: Any, served: Served) -> None:
    signed_in(browser, f"{served.running.url}/#/ask", served.key)
    wait_for(browser, ".drop .hint", "4 videos")


def opened_queue(browser: Any, served: Served) -> None:
    signed_in(browser, f"{served.running.url}/#/queue", served.key)
    wait_for(browser, ".queue .count", "atch")


def verdicts(served: Served, number: int) -> list[str]:
    with Client(served.running.url, served.key) as client:
        return [one.verdict for one in client.show_match(number).verdicts]


def test_the_link_to_the_content_leads_to_no_other_view(browser: Any, service: Served) -> None:
    opened_queue(browser, service)
    browser.execute_script("document.querySelector('.skip').focus()")
    press(browser, ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    assert browser.current_url.endswith("#/queue")
    assert browser.find_elements("css selector", "main .queue")


@pytest.mark.parametrize("place", ["case/%E0%A4%A", "constructor", "__proto__/x"])
def test_an_address_that_is_no_view_breaks_nothing(
    browser: Any, service: Served, place: str
) -> None:
    opened_queue(browser, service)
    browser.execute_script("location.hash = arguments[0]", f"#/{place}")
    wait_for(browser, "main .notice.bad" if place.startswith("case") else "main .ask")
    browser.find_element("link text", "Queue").click()
    wait_for(browser, ".queue .count", "atch")
    assert broken(browser) == []


def test_a_question_that_is_cancelled_at_once_is_not_sent(
    browser: Any, service: Served, films: Path
) -> None:
    opened_ask(browser, service)
    browser.execute_script(SLOW)
    browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
    wait_for(browser, ".progress button", "Cancel").click()
    browser.execute_script("window.answerNow()")
    wait_for(browser, ".result .notice", "Cancelled")
    assert browser.execute_script("return window.sent") == 0
    assert errors(browser) == []


def test_the_browser_asks_before_an_upload_is_lost_by_a_reload(
    browser: Any, service: Served, films: Path
) -> None:
    opened_ask(browser, service)
    browser.execute_script(HELD)
    browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
    wait_for(browser, ".progress", "Starting")
    wait_until(lambda: browser.execute_script("return !!window.go"), "the upload")
    assert browser.execute_script(LEAVES) is False
    browser.execute_script("window.go()")
    wait_for(browser, ".result h2")
    assert browser.execute_script(LEAVES) is True


def test_what_a_proxy_answers_is_said_to_be_no_answer(
    browser: Any, service: Served, films: Path
) -> None:
    opened_ask(browser, service)
    browser.execute_script(PROXY + PROXY_OF_LISTS)
    browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
    wait_for(browser, ".result .notice.bad", "cannot be read")
    browser.find_element("link text", "Queue").click()
    wait_for(browser, ".queue .notice.bad", "cannot be read")
    assert errors(browser) == []


def test_the_time_of_a_long_job_is_told_in_hours(
    browser: Any, service: Served, films: Path
) -> None:
    opened_ask(browser, service)
    browser.execute_script(FOR_EVER)
    browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
    wait_for(browser, ".progress .muted", "1 h 6 min")
    assert errors(browser) == []


def test_enter_opens_the_match_whose_box_has_the_focus(
    browser: Any, service: Served, films: Path
) -> None:
    with several(service, films) as ids:
        signed_in(browser, f"{service.running.url}/#/queue", service.key)
        wait_for(browser, ".queue-row")
        browser.find_elements("css selector", "ol.queue-list input")[1].click()
        press(browser, ENTER)
        wait_for(browser, ".said.copy")
        assert browser.current_url.endswith(f"#/case/{ids[1]}")
    assert errors(browser) == []


def test_a_double_click_or_a_held_key_judges_once(
    browser: Any, service: Served, films: Path
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    with several(service, films) as (first, second, _):
        signed_in(browser, f"{service.running.url}/#/case/{first}", service.key)
        button = wait_for(browser, ".choices button", "Licensed")
        # Slow enough for the first click to be done with.
        ActionChains(browser).click(button).pause(0.3).click().perform()
        wait_for(browser, ".told b", "Licensed copy")
        browser.get(f"{service.running.url}/#/case/{second}")
        wait_for(browser, ".said.copy")
        browser.execute_script(PRESSED, False)
        wait_for(browser, ".told b", "Unsure")
        browser.execute_script(PRESSED, True)
        press(browser, "z")
        wait_for(browser, ".history li", "Withdrawn", shown=False)
        assert verdicts(service, first) == ["licensed"]
        assert verdicts(service, second) == ["none", "unsure"]
    assert errors(browser) == []


def test_a_double_click_confirms_no_exception(browser: Any, service: Served, films: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    with several(service, films) as (first, *_), state_of(service) as state:
        signed_in(browser, f"{service.running.url}/#/case/{first}", service.key)
        wait_for(browser, ".said.copy")
        press(browser, "e")
        button = wait_for(browser, ".verdict-panel button", "Never match this pair")
        ActionChains(browser).click(button).pause(0.3).click().perform()
        wait_for(browser, ".verdict-panel button", "Confirm")
        assert state.exceptions.page(None, None, 1)[2] == 0
        wait_for(browser, ".verdict-panel button", "Back").click()
    assert errors(browser) == []


def test_a_file_that_the_browser_cannot_play_is_said_to_be_one(
    browser: Any, service: Served, tmp_path: Path
) -> None:
    path = tmp_path / "copy.avi"
    frames = list(film(1, 6.0))
    height, width = frames[0].shape[:2]
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), code, float(FRAMES_PER_SECOND), (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    opened_ask(browser, service)
    browser.find_element("id", "file").send_keys(str(path))
    wait_for(browser, ".player:first-child .none", "This browser cannot play the file")
    wait_for(browser, ".player video[aria-label=Reference]")
    # Nothing to compare the reference with.
    assert not browser.find_element(
        "css selector", ".controls .group:last-child button"
    ).is_displayed()
    assert errors(browser) == []


def test_a_csv_file_that_ends_early_says_so(browser: Any, service: Served, films: Path) -> None:
    with several(service, films):
        signed_in(browser, f"{service.running.url}/#/queue", service.key)
        wait_for(browser, ".queue-row")
        browser.execute_script(ENDLESS)
        browser.execute_script(BLOBS)
        wait_for(browser, ".list-head button", "CSV").click()
        wait_for(browser, ".queue .notice", "The file has the newest 100,000 matches")
        # A byte order mark, for spreadsheets.
        assert bytes(browser.execute_script("return window.start")) == b"\xef\xbb\xbfid"
    assert errors(browser) == []


def test_files_are_fetched_once_and_not_after_the_case_was_left(
    browser: Any, service: Served, films: Path
) -> None:
    match = found(service, films)
    assert match.detail["best_non_match"]
    detail = {**match.detail, "ranges": match.detail["ranges"] * 3}
    with state_of(service) as state:
        (made,) = state.matches.record([replace(match, fingerprint="sha256:ranges", detail=detail)])
    signed_in(browser, f"{service.running.url}/#/queue", service.key)
    wait_for(browser, ".queue-row")
    browser.execute_script(FILES)
    browser.execute_script("location.hash = arguments[0]", f"#/case/{made}")
    wait_for(browser, ".non-match canvas", shown=False)
    for number in range(1, 4):
        press(browser, "]")
        wait_for(browser, f".ranges li:nth-child({number % 3 + 1}) [aria-current=true]")
        wait_for(browser, ".non-match canvas:not([hidden])")
    files = [path for path, _ in browser.execute_script("return window.files")]
    assert sorted(files) == sorted(set(files))
    # This time the answers take for ever.
    browser.execute_script("window.files = []; window.slow = true; location.hash = '#/queue'")
    wait_for(browser, ".queue-row")
    browser.execute_script("location.hash = arguments[0]", f"#/case/{made}")
    # The file is asked for when it is known how large it is.
    wait_until(lambda: browser.execute_script("return window.files.length"), "the request")
    browser.execute_script("location.hash = '#/queue'")
    wait_for(browser, ".queue-row")
    assert browser.execute_script("return window.files.map(([, signal]) => signal.aborted)") == [
        True
    ]
    assert errors(browser) == []


@pytest.mark.parametrize("tempo", [1.0, -1.0])
def test_the_reference_is_played_without_the_query(
    browser: Any, service: Served, films: Path, tempo: float
) -> None:
    match = found(service, films)
    (one, *_) = match.detail["ranges"]
    played = {**one, "evidence": {**one["evidence"], "tempo": tempo}}
    detail = {**match.detail, "ranges": [played]}
    with state_of(service) as state:
        (made,) = state.matches.record(
            [replace(match, fingerprint=f"sha256:{tempo}", detail=detail)]
        )
    signed_in(browser, f"{service.running.url}/#/case/{made}", service.key)
    wait_for(browser, ".player video[aria-label=Reference]")
    can_play = "return document.querySelector('video').readyState > 1"
    wait_until(lambda: browser.execute_script(can_play), "a picture of the reference")
    script = """
        const [bar, ref] = [document.querySelector(".scrubber"), document.querySelector("video")];
        return [Number(bar.value), ref.currentTime];
    """
    browser.execute_script("document.querySelector('.scrubber').value = 1")
    browser.execute_script("document.querySelector('.scrubber').dispatchEvent(new Event('input'))")
    query, ref = browser.execute_script(script)
    press(browser, " ")
    wait_until(lambda: query + 0.5 < browser.execute_script(script)[0] < query + 4, "it to play")
    assert tempo * (browser.execute_script(script)[1] - ref) > 0
    press(browser, " ")
    assert errors(browser) == []


def test_the_page_works_where_the_browser_keeps_nothing(browser: Any, service: Served) -> None:
    command = "Page.addScriptToEvaluateOnNewDocument"
    script = browser.execute_cdp_cmd(command, {"source": FORBIDDEN})
    try:
        browser.get("about:blank")
        browser.get(f"{service.running.url}/#/ask")
        wait_for(browser, "#key-input").send_keys(service.key + "\n")
        assert wait_for(browser, ".drop .hint", "4 videos")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        browser.get("about:blank")
    assert errors(browser) == []


def test_a_title_of_blanks_is_no_name(browser: Any, service: Served) -> None:
    with Client(service.running.url, service.admin) as client:
        title = client.show_video("a.mp4").title
        client.change_video("a.mp4", title=" \u202e")
        try:
            signed_in(browser, f"{service.running.url}/#/catalogue", service.key)
            assert wait_for(browser, "tbody .name").text == "a"
        finally:
            client.change_video("a.mp4", title=title)
    assert errors(browser) == []


def test_what_a_negative_bank_changed_is_not_called_an_exception(
    browser: Any, service: Served, films: Path
) -> None:
    times = {"query_start_seconds": 0.0, "query_end_seconds": 1000.0}
    match = replace(found(service, films), fingerprint="sha256:negative", decision="no_match")
    detail = {**match.detail, "negatives": [{"video_id": None, "bank": None, **times}]}
    with state_of(service) as state:
        (made,) = state.matches.record([replace(match, detail=detail)])
        signed_in(browser, f"{service.running.url}/#/case/{made}", service.key)
        assert wait_for(browser, ".headline .notice", "A video of a negative bank changed it")
    assert errors(browser) == []


def test_no_match_says_in_which_bank_and_what_does_not_count(
    browser: Any, service: Served, films: Path
) -> None:
    def asked(bank: str) -> str:
        browser.get("about:blank")
        browser.get(f"{service.running.url}/#/ask")
        wait_for(browser, ".drop .hint", "4 videos")
        browser.find_element("css selector", ".options summary").click()
        browser.find_element("id", "bank").send_keys(bank)
        browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
        return str(wait_for(browser, ".verdict", "No match").text)

    number = matched(service, films)
    with Client(service.running.url, service.admin) as client:
        match = client.show_match(number)
        fingerprint = match.query.fingerprint
        made = client.add_exception(match.ref_video_id, "mine", query_fingerprint=fingerprint)
        client.put_bank("empty")
        try:
            signed_in(browser, f"{service.running.url}/#/ask", service.key)
            assert asked("empty") == "No match: this upload is in no video of bank empty."
            assert asked("").endswith("in no video of the catalogue that counts.")
            (link,) = browser.find_elements("css selector", ".headline .notice a")
            assert link.get_attribute("href").endswith(f"#/case/{number}")
        finally:
            client.delete_bank("empty")
            assert made.id is not None
            client.delete_exception(made.id)
    assert errors(browser) == []


def test_what_is_beside_a_case_or_an_answer_does_not_take_it_away(
    browser: Any, service: Served, films: Path
) -> None:
    with several(service, films) as (first, *_):
        signed_in(browser, f"{service.running.url}/#/queue", service.key)
        wait_for(browser, ".queue-row")
        browser.execute_script(BUSY)
        browser.execute_script("location.hash = arguments[0]", f"#/case/{first}")
        wait_for(browser, ".answer > div > .notice.bad", "later")
        assert browser.find_element("css selector", ".choices button").is_displayed()
        for _ in range(2):
            wait_for(browser, ".evidence button", "JSON").click()
            wait_for(browser, ".answer > div:nth-of-type(1) .notice.bad", "later")
        assert len(browser.find_elements("css selector", ".notice.bad")) == 2
        # Without its title a video has the name of its id.
        browser.execute_script("location.hash = '#/ask'")
        wait_for(browser, ".drop .hint", "4 videos")
        browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
        assert wait_for(browser, ".verdict", "Copy").text.endswith("of a.")
        wait_for(browser, ".player video[aria-label=Reference]")
    assert errors(browser) == []


def test_another_page_of_the_queue_begins_at_its_first_match(
    browser: Any, service: Served, films: Path
) -> None:
    match = replace(found(service, films), bank="pages")
    with state_of(service) as state:
        state.matches.record(
            [replace(match, fingerprint=f"sha256:page {index}") for index in range(60)]
        )
    signed_in(browser, f"{service.running.url}/#/queue", service.key)
    wait_for(browser, ".filters #bank").send_keys("pages\n")
    wait_for(browser, ".count", "1–50 of 60")
    browser.execute_script("document.activeElement.blur()")
    for _ in range(3):
        press(browser, "j")
    browser.find_element("css selector", ".pages button:last-child").click()
    wait_for(browser, ".count", "51–60 of 60")
    focused = "return document.activeElement.closest('.queue-item')"
    assert browser.execute_script(focused) is None
    browser.execute_script("document.activeElement.blur()")
    press(browser, "j")
    (row, *_) = browser.find_elements("css selector", ".queue-item")
    assert browser.execute_script(focused) == row
    assert errors(browser) == []


def test_a_late_refusal_asks_for_no_second_key(browser: Any, service: Served) -> None:
    command = "Page.addScriptToEvaluateOnNewDocument"
    script = browser.execute_cdp_cmd(command, {"source": LATE})
    try:
        signed_in(browser, f"{service.running.url}/#/catalogue", service.key)
        wait_for(browser, "tbody .name")
        browser.execute_script("window.answerNow()")
        wait_for(browser, ".ingest button", "4 ready")
        assert not browser.find_element("id", "key-dialog").is_displayed()
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        browser.get("about:blank")
    assert errors(browser) == []


def test_a_case_that_was_left_holds_no_file(browser: Any, service: Served, films: Path) -> None:
    with several(service, films) as (first, *_):
        signed_in(browser, f"{service.running.url}/#/queue", service.key)
        wait_for(browser, ".queue-row")
        browser.execute_script(VIDEOS)
        browser.execute_script("location.hash = arguments[0]", f"#/case/{first}")
        wait_for(browser, ".player video[aria-label=Reference]")
        waits = "return videos.some((one) => one.waits)"
        wait_until(lambda: browser.execute_script(waits), "a hidden player")
        browser.execute_script("location.hash = '#/queue'")
        wait_for(browser, ".queue-row")
        # HTMLMediaElement.NETWORK_EMPTY
        states = browser.execute_script("return videos.map((one) => [one.src, one.networkState])")
        assert len(states) > 2
        assert states == [["", 0]] * len(states)
    assert errors(browser) == []
