"""Why a request to an address of a caller failed, in words."""

from __future__ import annotations

import httpx
import pytest

from common.network.checked_request import reason_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ReadError(""), "the connection was lost before the answer was complete"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.UnsupportedProtocol("of https://user:secret@host"), "UnsupportedProtocol"),
        (OSError(), "OSError"),
    ],
)
def test_a_failure_is_told_in_words_without_an_address(error: Exception, told: str) -> None:
    assert reason_of(error) == told
