"""Which names of banks are valid."""

from __future__ import annotations

from common.errors import UsageError
from common.printable import printable

MAX_BANK_NAME = 200
"""Characters."""


def check_bank_name(bank: str) -> None:
    """The rule of a bank that is named for a new video, a setting, a key or a webhook: 1 to MAX_BANK_NAME
    characters, none of which controls a terminal or starts a line.

    Messages and stored videos do not have this rule, because older versions accepted all names. Raises
    UsageError.
    """
    if not 1 <= len(bank) <= MAX_BANK_NAME or printable(bank) != bank:
        shown = f"'{printable(bank[:MAX_BANK_NAME])}' of {len(bank)} characters"
        raise UsageError(
            f"bank: expected a name of 1 to {MAX_BANK_NAME} printable characters, got {shown}"
        )
