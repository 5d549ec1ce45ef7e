"""Text from outside is shown so that a terminal has nothing to obey in it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.printable import printable, printable_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in shown)
    assert not set(shown) & set(BIDI)


@given(ANY_TEXT)
def test_what_is_shown_is_shown_the_same_again(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;owned\x07", r"a\x1b]0;owned\x07"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x9b31mred", r"\x9b31mred"),
        ("film\u202e4pm.exe", r"film\u202e4pm.exe"),
        ("not\udcffutf8", r"not\udcffutf8"),
        ("\u2028", r"\u2028"),
    ],
)
def test_it_is_escaped_as_in_a_string(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["Dune (2021).mkv", "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️.mp4", "日本語", "שלום", "C:\\films", "é"]
)
def test_names_people_use_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_our_own_lines_stay_lines() -> None:
    assert printable("one\ntwo\x1b", lines=True) == "one\ntwo\\x1b"


@given(st.dictionaries(st.text(), st.text()))
def test_json_means_the_same_and_has_nothing_to_obey(value: dict[str, str]) -> None:
    document = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(document) == value
    assert printable(document) == document
