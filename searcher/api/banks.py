"""The banks that a request names."""

from __future__ import annotations

from fastapi import Request

from common.http.errors import ApiError
from searcher.index.state import Banks
from searcher.storage.video_store import VideoStore


def banks_of(request: Request) -> Banks:
    """The requested banks; None means all banks."""
    return frozenset(request.query_params.getlist("bank")) or None


def check_banks(banks: Banks, videos: VideoStore) -> None:
    """Raises ApiError (404) for a bank without videos, because its name is probably mistyped."""
    for bank in sorted(banks or ()):
        if not videos.has_bank(bank):
            raise ApiError(
                404,
                "unknown_bank",
                f"{videos.without_bank(bank)}; ask for one of these, or for none to search all",
            )
