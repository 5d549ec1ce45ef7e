"""The `code` of every error response, with its HTTP statuses and its title.

Codes of exceptions come from `common/errors.py`; those that only the API has are in `_API_CODES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common import errors
from common.errors import (
    BackupRunningError,
    ModelMismatchError,
    QuotaExceededError,
    ReusedKeyError,
    StoryHashError,
    TooManyJobsError,
    UploadsFullError,
    VideoError,
)

# HTTP status by exit code: 2 is a mistake of the caller, 3 a dependency that is down. All others are 500.
_STATUS = {2: 400, 3: 503}
_STATUS_OF_KIND: Mapping[type[StoryHashError], int] = {
    VideoError: 422,
    ReusedKeyError: 422,
    ModelMismatchError: 409,
    BackupRunningError: 409,
    TooManyJobsError: 429,
    QuotaExceededError: 429,
    UploadsFullError: 507,
}

# Status and title of the codes that no exception class has, or for which its docstring is no title.
_API_CODES: Mapping[str, tuple[int, str]] = {
    "unauthorized": (401, "An API key is required, or the key is unknown, expired or revoked"),
    "forbidden": (403, "The key may not do this"),
    "forbidden_host": (403, "The Host header has an unexpected name"),
    "forbidden_origin": (403, "A web page of another origin may not call the service"),
    "no_such_route": (404, "The service has no such route"),
    "unknown_bank": (404, "No video of this bank is indexed"),
    "unknown_video": (404, "No such video"),
    "unknown_match": (404, "No such match"),
    "unknown_exception": (404, "No such exception"),
    "unknown_delivery": (404, "No such delivery of a webhook"),
    "unknown_job": (404, "No such job"),
    "unknown_webhook": (404, "No such webhook"),
    "unknown_key": (404, "No such key"),
    "unknown_query": (404, "The query expired or was deleted"),
    "no_content": (404, "The file of the video cannot be sent"),
    "method_not_allowed": (405, "The route does not have this method"),
    "timeout": (408, "The request arrived too slowly, or the video took too long to decode"),
    "bank_not_empty": (409, "The bank has videos"),
    "precondition_failed": (412, "Somebody has changed the item since it was read"),
    "too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The route does not read this content type"),
    "no_such_range": (416, "The range begins after the end of the file"),
    "unreadable": (422, "The video cannot be used"),
    "unknown_parameter": (422, "The route does not have this query parameter"),
    "too_many_requests": (429, "The key sends too many requests"),
    "failed": (500, "An operation failed"),
    "internal": (500, "An internal error"),
    "not_here": (501, "Another service does this; the message says which"),
    "busy": (503, "Too many requests are waiting"),
    "deadline_exceeded": (504, "The request's time limit ended before its answer was ready"),
}
# Statuses that a code has besides those above: request headers that are too large; a full queue of
# searches.
_MORE_STATUSES = {"too_large": 431, "busy": 429}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code. statuses: ascending. title: the same for all errors with this code."""

    statuses: tuple[int, ...]
    title: str


def status_of(kind: type[StoryHashError]) -> int:
    """The HTTP status of an exception: 400 for a mistake of the caller, 409 for another model or a backup
    that is being made, 422 for a video or an Idempotency-Key that cannot be used, 429 for a full queue of
    jobs and a used quota, 503 for a dependency that is down, 507 where uploads use all their disk space,
    otherwise 500."""
    for base, status in _STATUS_OF_KIND.items():
        if issubclass(kind, base):
            return status
    return _STATUS.get(kind.exit_code, 500)


@cache
def error_codes() -> Mapping[str, ErrorCode]:
    """Every code, ordered by name."""
    statuses: dict[str, set[int]] = {}
    titles: dict[str, str] = {}
    for code, (status, title) in _API_CODES.items():
        statuses[code], titles[code] = {status}, title
    for code, status in _MORE_STATUSES.items():
        statuses[code].add(status)
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, StoryHashError):
            statuses.setdefault(kind.code, set()).add(status_of(kind))
            titles.setdefault(kind.code, _first_sentence(kind.__doc__ or ""))
    return {code: ErrorCode(tuple(sorted(statuses[code])), titles[code]) for code in sorted(titles)}


def title_of(code: str) -> str:
    """The title of a code."""
    known = error_codes().get(code)
    return StoryHashError.__name__ if known is None else known.title


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].removesuffix(".")
