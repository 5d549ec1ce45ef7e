"""The request, the video and the trace that log lines name."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token

# Header of the id of an HTTP request.
REQUEST_ID_HEADER = "X-Request-ID"
_NOTHING: Mapping[str, str] = {}
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=_NOTHING)


class log_context:  # noqa: N801 (used as a function)
    """Log lines of the block carry these ids; an empty one keeps what is around the block.

    It holds for this thread or task, and for threads that anyio starts from it. (A class, because every
    request enters one, and a generator takes twice as long.)
    """

    __slots__ = ("_given", "_token")
    _token: Token[Mapping[str, str]]

    def __init__(self, *, request_id: str = "", video_id: str = "", trace_id: str = "") -> None:
        given = {"request_id": request_id, "video_id": video_id, "trace_id": trace_id}
        self._given = {name: value for name, value in given.items() if value}

    def __enter__(self) -> None:
        self._token = _context.set({**_context.get(), **self._given})

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def current_log_context() -> Mapping[str, str]:
    """The ids that hold now, by name; without those that are unknown."""
    return _context.get()
