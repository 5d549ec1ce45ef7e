from __future__ import annotations

import pytest

from common.bank_names import MAX_BANK_NAME, check_bank_name
from common.errors import UsageError


@pytest.mark.parametrize("bank", ["default", "a", "news/2026 é", "短い", "x" * MAX_BANK_NAME])
def test_a_name_is_any_short_text_on_one_line(bank: str) -> None:
    check_bank_name(bank)


@pytest.mark.parametrize(
    ("bank", "shown"),
    [
        ("", "'' of 0 characters"),
        ("x" * (MAX_BANK_NAME + 1), "of 201 characters"),
        ("news\nsport", r"got 'news\nsport' of 10 characters"),
        ("\x1b[2J", "of 4 characters"),
        ("news\udcff", "of 5 characters"),
        ("news\0", "of 5 characters"),
    ],
)
def test_an_empty_a_long_and_an_unprintable_name_are_refused(bank: str, shown: str) -> None:
    with pytest.raises(UsageError, match="bank: expected a name of 1 to 200 printable") as refused:
        check_bank_name(bank)
    assert shown in str(refused.value)
