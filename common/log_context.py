"""What a log line is about: the request, the video and the trace that are worked on now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# Header of the id of an HTTP request.
REQUEST_ID_HEADER = "X-Request-ID"
_NOTHING: Mapping[str, str] = {}
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=_NOTHING)


@contextmanager
def log_context(*, request_id: str = "", video_id: str = "", trace_id: str = "") -> Iterator[None]:
    """Log lines of the block carry these ids; an empty one keeps what is around the block.

    It holds for this thread or task, and for threads that anyio starts from it.
    """
    given = {"request_id": request_id, "video_id": video_id, "trace_id": trace_id}
    token = _context.set(
        {**_context.get(), **{name: value for name, value in given.items() if value}}
    )
    try:
        yield
    finally:
        _context.reset(token)


def current_log_context() -> Mapping[str, str]:
    """The ids that hold now, by name; without those that are unknown."""
    return _context.get()
