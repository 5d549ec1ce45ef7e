"""Distinguishes URLs from paths, and removes secrets from URLs."""

from __future__ import annotations

import re
from pathlib import Path

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
# User name and password before a host, after // or, without a scheme, at the start of a word. A password
# may contain an @.
_CREDENTIALS = re.compile(r"(//)[^\s/,\"']*@|((?:^|(?<=[\s,\"'])))[^\s/,\"'@]*:[^\s/,\"']*@")
_IN_QUERY = re.compile(
    r"([?&;][^=&\s]*(?:key|token|password|passwd|secret|signature|sig|auth)[^=&\s]*=)[^&;\s\"',]+",
    re.I,
)
# Characters that end a host; browsers treat a backslash like a slash.
_HOST_ENDS = re.compile(r"[/?#\\]")


def is_remote(uri: str) -> bool:
    """Whether `uri` is a URL such as https://..., and not a path."""
    return bool(_SCHEME.match(uri))


def absolute(uri: str, folder: Path | None = None) -> str:
    """A URL unchanged; a path made absolute, relative to `folder` or to the working directory."""
    return uri if is_remote(uri) else str((folder or Path()).joinpath(uri).absolute())


def public_uri(uri: str) -> str:
    """An address without user name, password, query and fragment, and with scheme and host in lower case,
    as their case has no meaning; a path as it is.

    A query may be a key (presigned addresses are), so it is used to fetch and for nothing else: ids,
    titles, answers, messages and logs have this form.
    """
    match = _SCHEME.match(uri)
    if match is None:
        return uri
    scheme, rest = match[0].lower(), uri[match.end() :]
    ends = _HOST_ENDS.search(rest)
    authority, path = (rest, "") if ends is None else (rest[: ends.start()], rest[ends.start() :])
    host = authority.rpartition("@")[2].lower()
    name, colon, port = host.rpartition(":")
    if colon and "]" not in port and port and not port.isdecimal():
        # A password with a slash in it looks like this; what follows is the rest of it.
        return scheme + name
    return scheme + host + re.split(r"[?#]", path, maxsplit=1)[0]


def without_passwords(text: str) -> str:
    """A text, such as a setting, in which the user name and password of every URL are masked, and
    values in its query that are named key, token, password, secret or signature."""
    return _IN_QUERY.sub(r"\1***", _CREDENTIALS.sub(lambda match: f"{match[1] or ''}***@", text))
