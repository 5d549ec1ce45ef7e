"""The review page when something is in its way: a lost connection, a revoked key, another reviewer, a
long queue, and names that are written from right to left."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.state.keys import NewKey
from common.state.matches import FoundMatch, MatchFilter
from common.state.roles import Role
from common.state.state import State
from common.state.verdicts import NewVerdict
from storyhash.client import Client
from tests.e2e.test_page import Served, browser, errors, press, service, signed_in
from tests.support.browser import wait_for
from tests.support.keys import opened_state
from tests.support.services import wait_until

__all__ = ["browser", "service"]
JUDGED = NewVerdict("unsure", "", "", None, None)
ARABIC = "شاي \u202eأخضر"
# Timers of the page wait so long at most, so that what happens every few seconds happens at once.
HASTE = (
    "const real = setTimeout; window.setTimeout = (work, wait) => real(work, Math.min(wait, 50));"
)
# Counts calls of the API, and how often a key is asked for.
COUNTED = """
const [fetched, dialog] = [window.fetch, document.getElementById("key-dialog")];
const show = dialog.showModal.bind(dialog);
window.calls = window.asked = 0;
window.fetch = (...all) => { window.calls += 1; return fetched(...all); };
dialog.showModal = () => { window.asked += 1; show(); };
"""
# Notes which banks the lists are asked for.
BANKS = """
const fetched = window.fetch;
window.banks = [];
window.fetch = (path, ...rest) => {
  const bank = new URL(path, location).searchParams.get("bank");
  if (bank !== null) window.banks.push(bank);
  return fetched(path, ...rest);
};
"""
# Drops a file on the page, beside every place for one.
DROPPED = """
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], "dropped.mp4", { type: "video/mp4" }));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
"""
# The next two answers to "how is the job" do not come.
LOST = """
const fetched = window.fetch;
let left = 2;
window.fetch = (path, ...rest) => String(path).startsWith("/v1/jobs/") && left-- > 0
  ? Promise.reject(new TypeError("lost")) : fetched(path, ...rest);
"""


@contextmanager
def state_of(served: Served) -> Iterator[State]:
    """The state database of the service, beside it."""
    with opened_state(served.running.log.parent / "data") as state:
        yield state


def matched(served: Served, films: Path) -> int:
    """The id of a match of an upload with a.mp4."""
    with Client(served.running.url, served.key) as client:
        (match, *_) = client.match(films / "a.mp4", name="copy.mp4").matches
    assert match.match_id is not None
    return match.match_id


def found(served: Served, films: Path) -> FoundMatch:
    """What an upload of a.mp4 finds, to be stored again under other fingerprints."""
    number = matched(served, films)
    with state_of(served) as state:
        match = state.matches.get(number, None)
    assert match is not None
    return FoundMatch("", "a.mp4", match.bank, None, "copy", 0.99, match.detail)


@contextmanager
def in_haste(browser: Any) -> Iterator[None]:
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HASTE})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_undo_takes_back_no_verdict_of_somebody_else(
    browser: Any, service: Served, films: Path
) -> None:
    number = matched(service, films)
    signed_in(browser, f"{service.running.url}/#/case/{number}", service.key)
    wait_for(browser, ".said.copy")
    press(browser, "l")
    wait_for(browser, ".told b", "Licensed copy")
    with Client(service.running.url, service.admin) as client:
        client.add_verdict(number, "not_copy", reason="seen in another tab")
        press(browser, "z")
        wait_for(browser, ".verdict-panel .notice.bad", "newer verdict")
        wait_for(browser, ".told b", "Not a copy")
        kept = client.show_match(number).verdicts
        assert [one.verdict for one in kept][:2] == ["not_copy", "licensed"]
        press(browser, "z")
        wait_for(browser, ".told b", "Licensed copy")
        client.add_verdict(number, "none")
    assert errors(browser) == []


def test_a_job_is_waited_for_while_the_connection_is_lost(
    browser: Any, service: Served, films: Path
) -> None:
    with in_haste(browser):
        signed_in(browser, f"{service.running.url}/#/ask", service.key)
        wait_for(browser, ".drop .hint", "4 videos")
        browser.execute_script(LOST)
        browser.find_element("id", "file").send_keys(str(films / "a.mp4"))
        assert wait_for(browser, ".verdict", "Copy")
    assert errors(browser) == []


def test_nobody_is_asked_for_a_key_again_and_again(browser: Any, service: Served) -> None:
    with state_of(service) as state:
        key, token = state.keys.create(NewKey("short", Role.READER))
        with in_haste(browser):
            signed_in(browser, f"{service.running.url}/#/catalogue", token)
            wait_for(browser, ".ingest button", "4 ready")
            with Client(service.running.url, service.admin) as client:
                client.revoke_key(key.id)
            browser.execute_script(COUNTED)
            wait_until(lambda: browser.execute_script("return window.calls > 5"), "some calls")
            assert browser.execute_script("return window.asked") == 0
            # Who does something is asked.
            browser.find_element("css selector", "#prefix").send_keys("a")
            wait_for(browser, "#key-reason", "revoked")
            browser.find_element("id", "key-cancel").click()
            wait_for(browser, ".notice.bad", "unauthorized")
    browser.get("about:blank")
    # Refusals of the key, as wanted.
    errors(browser)


def test_what_cannot_be_seen_in_a_copied_key_does_not_count(browser: Any, service: Served) -> None:
    browser.get(f"{service.running.url}/#/queue")
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    wait_for(browser, "#key-input").send_keys(f"\u200b{service.key}\u00a0\n")
    wait_for(browser, ".queue .count", "atch")


def test_a_long_queue_is_turned_page_by_page(browser: Any, service: Served, films: Path) -> None:
    match = found(service, films)
    query = match.detail["query"]
    several = [
        replace(
            match,
            fingerprint=f"sha256:{index}",
            detail={**match.detail, "query": {**query, "uri": f"query {index}.mp4"}},
        )
        for index in range(120)
    ]
    with state_of(service) as state:
        ids = state.matches.record(several)
        total = state.matches.page(MatchFilter(verdicts=frozenset({"none"})), None, 1)[2]
        signed_in(browser, f"{service.running.url}/#/queue", service.key)
        wait_for(browser, ".count", f"1–50 of {total}")
        # A page is not passed over by a hasty hand.
        browser.execute_script(
            "const next = document.querySelector('.pages button:last-child'); next.click(); next.click();"
        )
        wait_for(browser, ".count", f"51–100 of {total}")
        browser.find_element("css selector", ".pages button:last-child").click()
        wait_for(browser, ".count", f"101–{total} of {total}")
        # What was on the last page is judged elsewhere: the page before is shown.
        for one in state.matches.page(MatchFilter(), None, 1000)[0][100:]:
            state.verdicts.add(one.id, JUDGED, None)
        for box in browser.find_elements("css selector", "ol.queue-list input")[:1]:
            box.click()
        press(browser, "U")
        wait_for(browser, ".count", "51–100 of 100")
        for match_id in ids:
            state.verdicts.add(match_id, JUDGED, None)
    assert errors(browser) == []


def test_a_name_from_right_to_left_leaves_a_sentence_in_order(
    browser: Any, service: Served, films: Path
) -> None:
    with Client(service.running.url, service.admin) as client:
        title = client.show_video("a.mp4").title
        client.change_video("a.mp4", title=ARABIC)
        try:
            number = matched(service, films)
            client.add_verdict(number, "none")
            signed_in(browser, f"{service.running.url}/#/case/{number}", service.key)
            name = ARABIC.replace("\u202e", "")
            assert wait_for(browser, ".verdict", f"of \u2068{name}\u2069.")
            browser.get(f"{service.running.url}/#/queue")
            assert wait_for(browser, ".queue-row bdi", name)
        finally:
            client.change_video("a.mp4", title=title)
    assert errors(browser) == []


def banks_of(browser: Any) -> list[str]:
    """The banks that lists were asked for, see BANKS."""
    return list(browser.execute_script("return window.banks"))


def test_a_bank_is_asked_for_only_by_its_whole_name(browser: Any, service: Served) -> None:
    with state_of(service) as state:
        _, limited = state.keys.create(NewKey("limited", Role.WRITER, ["default"]))
    for view in ("catalogue", "queue"):
        signed_in(browser, f"{service.running.url}/#/{view}", limited)
        wait_for(browser, "#banks option[value=default]", shown=False)
        browser.execute_script(BANKS)
        field = wait_for(browser, ".filters #bank")
        field.send_keys("defaul")
        field.send_keys("t")
        wait_until(lambda: bool(banks_of(browser)), "the list of a bank")
        assert banks_of(browser) == ["default"]
        field.send_keys("s\n")
        assert wait_for(browser, ".notice.bad", "'defaults'")
    assert len(errors(browser)) == 2


def test_a_file_that_is_dropped_beside_its_place_is_not_lost(
    browser: Any, service: Served, films: Path
) -> None:
    def drop() -> None:
        data = base64.b64encode((films / "a.mp4").read_bytes()).decode()
        browser.execute_script(DROPPED, data)

    signed_in(browser, f"{service.running.url}/#/queue", service.admin)
    wait_for(browser, ".count", "match")
    drop()
    assert wait_for(browser, ".not-taken", "dropped.mp4 was not taken")
    browser.find_element("css selector", ".not-taken a[href='#/catalogue']").click()
    wait_for(browser, ".ingest button", "4 ready")
    assert not browser.find_elements("css selector", ".not-taken")
    drop()
    wait_for(browser, ".ingest .notice", "Add dropped.mp4 to the catalogue?")
    browser.find_element("css selector", ".ingest .notice button").click()
    assert wait_for(browser, "tbody .name", "dropped.mp4")
    with Client(service.running.url, service.admin) as client:
        (video,) = client.list_videos(text="dropped").items
        client.delete_video(video.video_id)
    browser.get(f"{service.running.url}/#/ask")
    wait_for(browser, ".drop .hint", "4 videos")
    drop()
    assert wait_for(browser, ".headline .said", "Copy")
    assert errors(browser) == []


def test_an_upload_is_shown_on_every_view_and_can_be_cancelled(
    browser: Any, service: Served, films: Path
) -> None:
    def send_slowly(bytes_per_second: int) -> None:
        """-1: without a limit."""
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
        conditions["uploadThroughput"] = bytes_per_second
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def begin_and_leave() -> None:
        wait_for(browser, ".ingest button", "4 ready")
        data = base64.b64encode((films / "a.mp4").read_bytes()).decode()
        browser.execute_script(DROPPED, data)
        wait_for(browser, ".ingest .notice button").click()
        wait_for(browser, ".upload")
        browser.execute_script("location.hash = '#/queue'")
        wait_for(browser, ".count", "match")

    browser.execute_cdp_cmd("Network.enable", {})
    signed_in(browser, f"{service.running.url}/#/catalogue", service.admin)
    with Client(service.running.url, service.admin) as client:
        try:
            send_slowly(1000)
            begin_and_leave()
            assert wait_for(browser, ".upload", "dropped.mp4")
            browser.find_element("css selector", ".upload button").click()
            wait_for(browser, "#status", "Cancelled", shown=False)
        finally:
            send_slowly(-1)
        assert not browser.find_elements("css selector", ".upload")
        assert client.list_videos(text="dropped").items == []
        browser.execute_script("location.hash = '#/catalogue'")
        begin_and_leave()
        wait_for(browser, ".upload", "dropped.mp4 is in the queue")
        (video,) = client.list_videos(text="dropped").items
        client.delete_video(video.video_id)
    browser.find_element("css selector", ".upload button").click()
    assert not browser.find_elements("css selector", ".upload")
    assert errors(browser) == []
