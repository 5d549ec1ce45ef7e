"""Video ids: which are valid, and how they are written in URLs.

An id made from a path is that path, so it may contain nearly everything. An id chosen by a user has
stricter rules, because it is typed, linked to and made a part of other names.
"""

from __future__ import annotations

from urllib.parse import quote

from common.errors import UsageError
from common.printable import printable
from common.uris import public_uri

# No path is longer on Linux, so the id of every file fits.
MAX_ID_BYTES = 4096
_SHOWN = 80


def check_id_bytes(video_id: str) -> None:
    """The rule of every stored id: not empty, UTF-8, at most MAX_ID_BYTES bytes.

    Messages have only this rule, because logs have ids that older versions accepted. Raises UsageError,
    which says what to change.
    """
    try:
        size = len(video_id.encode())
    except UnicodeEncodeError:
        raise UsageError(
            f"the id {_short(video_id)} is not UTF-8 text; rename the file, or give the video another id"
        ) from None
    if not video_id:
        raise UsageError("video_id: expected a non-empty string, got an empty one")
    if size > MAX_ID_BYTES:
        raise UsageError(
            f"the id {_short(video_id)} has {size} bytes, at most {MAX_ID_BYTES} are allowed; "
            "give the video a shorter id"
        )


def check_video_id(video_id: str) -> None:
    """The rule of a new video's id: `check_id_bytes`, no NUL, and no part of it is `.` or `..`.

    Raises UsageError.
    """
    check_id_bytes(video_id)
    if "\0" in video_id:
        raise UsageError(f"the id {_short(video_id)} contains a NUL character; remove it")
    if not {".", ".."}.isdisjoint(video_id.split("/")):
        raise UsageError(
            f"the id {_short(video_id)} has a part '.' or '..', which addresses and paths "
            "drop; give the video an id without it"
        )


def check_chosen_id(video_id: str) -> None:
    """The rule of an id from a manifest or a request: `check_video_id`, no control characters, no slash
    at its ends and no two slashes in a row.

    A URL may be an id, so the slashes after its scheme are allowed. Raises UsageError.
    """
    check_video_id(video_id)
    if printable(video_id) != video_id:
        raise UsageError(f"the id {_short(video_id)} contains control characters; remove them")
    if public_uri(video_id).lower() != video_id.lower():
        raise UsageError(
            "the id is an address with a query, a fragment or credentials, which may be "
            "secret; remove them"
        )
    scheme, separator, rest = video_id.partition("://")
    is_address = bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()
    path = rest.rstrip("/") if is_address else video_id
    if path.startswith("/") or path.endswith("/") or (not is_address and "//" in path):
        raise UsageError(
            f"the id {_short(video_id)} begins or ends with a slash, or has two in a row; "
            "remove them"
        )


def id_in_path(video_id: str) -> str:
    """The id, escaped as one part of a URL's path, so that no proxy takes it for several parts, or `.`
    and `..` (ids of an older version) for folders."""
    quoted = quote(video_id, safe="")
    return quoted.replace(".", "%2E") if set(video_id) <= {"."} else quoted


def _short(video_id: str) -> str:
    text = printable(video_id)
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}...'"
