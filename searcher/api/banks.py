"""The banks that a request names."""

from __future__ import annotations

from anyio import to_thread
from fastapi import Request

from common.http.errors import ApiError
from common.http.query_parameters import parameter
from common.http.request_facts import facts_of
from common.http.roles import banks_for
from common.state.curation import Curation
from searcher.index.state import Banks
from searcher.storage.video_store import VideoStore

BANK = parameter(
    "bank",
    {"type": "array", "items": {"type": "string"}},
    "Search only these banks (default: all).",
)


def banks_of(request: Request) -> Banks:
    """The requested banks, else all that the key may see; None means all. Raises ApiError (403)."""
    return banks_for(request, frozenset(request.query_params.getlist("bank")))


async def check_banks(
    request: Request, banks: Banks, videos: VideoStore, curation: Curation
) -> None:
    """Raises ApiError (404) for a bank without videos that nobody has set, because its name is probably
    mistyped. A key of some banks can name no other, and is not told which others there are."""
    if facts_of(request.scope).caller.banks is not None:
        return
    unset = sorted((banks or frozenset()) - curation.banks.keys())
    if not unset:
        return

    def wrong() -> str:
        return next((videos.without_bank(bank) for bank in unset if not videos.has_bank(bank)), "")

    # The catalogue's lock may be held by a change, which ends on the disk.
    message = await to_thread.run_sync(wrong)
    if message:
        raise ApiError(404, "unknown_bank", f"{message}; name one of these, or none to search all")
