"""How the review page looks with names that are long or written from right to left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.state.matches import FoundMatch
from storyhash.client import Client
from tests.e2e.test_page import Served, browser, errors, service, signed_in
from tests.e2e.test_page_troubles import matched, state_of
from tests.support.browser import resize, wait_for

__all__ = ["browser", "service"]
ARABIC = "\u0634\u0627\u064a"
LONG = "A title with the whole description of the film. " * 20
# Lines of text that an element has.
LINES = """
const range = document.createRange();
range.selectNodeContents(arguments[0]);
return new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size;
"""
# Text whose direction turns on the way is drawn in several pieces.
PIECES = """
const range = document.createRange();
range.selectNodeContents(arguments[0].lastChild);
return range.getClientRects().length;
"""


@contextmanager
def titled(served: Served, title: str) -> Iterator[None]:
    """The reference has this title for as long as the block lasts."""
    with Client(served.running.url, served.admin) as client:
        before = client.show_video("a.mp4").title
        client.change_video("a.mp4", title=title)
        try:
            yield
        finally:
            client.change_video("a.mp4", title=before)


def test_a_long_title_is_cut_and_leaves_room_for_the_rest(browser: Any, service: Served) -> None:
    with titled(service, LONG[:1000]):
        signed_in(browser, f"{service.running.url}/#/catalogue", service.key)
        name = wait_for(browser, "tbody .name", "A title")
        assert name.text == f"{LONG[:120]}…"
        for width in (1400, 1000, 700, 360):
            resize(browser, width, 900)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            for cell in browser.find_elements("css selector", "tbody tr:first-child td"):
                assert browser.execute_script(LINES, cell) <= 2, (width, cell.text)
            assert name.size["width"] > 150, width
        resize(browser, 1280, 900)
    assert errors(browser) == []


def test_a_name_from_right_to_left_leaves_the_numbers_beside_it_in_order(
    browser: Any, service: Served, films: Path
) -> None:
    with titled(service, ARABIC):
        number = matched(service, films)
        signed_in(browser, f"{service.running.url}/#/case/{number}", service.key)
        label = wait_for(browser, ".line-label.below", ARABIC)
        assert browser.execute_script(PIECES, label) == 1
    with state_of(service) as state:
        match = state.matches.get(number, None)
        assert match is not None
        found = FoundMatch("sha256:bank", "a.mp4", ARABIC, None, "copy", 0.99, match.detail)
        state.matches.record([found])
        browser.get(f"{service.running.url}/#/queue")
        facts = wait_for(browser, ".queue-row .facts", ARABIC)
        assert browser.execute_script("return arguments[0].textContent", facts).count("\u2068") == 1
    assert errors(browser) == []


def test_no_word_of_the_api_is_broken(browser: Any, service: Served) -> None:
    signed_in(browser, f"{service.running.url}/docs", service.key)
    wait_for(browser, ".docs summary", "GET /v1/matches")
    browser.execute_script(
        "for (const one of document.querySelectorAll('.docs details')) one.open = true"
    )
    wait_for(browser, ".docs td", "min_probability", shown=False)
    for width in (1400, 360):
        resize(browser, width, 900)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        words = [
            cell
            for cell in browser.find_elements("css selector", ".docs td:nth-child(-n + 2)")[:60]
            if cell.text.isidentifier()
        ]
        assert [one.text for one in words if browser.execute_script(LINES, one) > 1] == []
        assert words
    resize(browser, 1280, 900)
    assert errors(browser) == []
