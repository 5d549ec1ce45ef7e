"""Telling an address from a path, and the part of an address that everybody may see."""

from __future__ import annotations

import re
from pathlib import Path

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
# What stands before a host, after // or, as in HOST:PORT without a scheme, where a word begins. There may
# be an @ in a password.
_CREDENTIALS = re.compile(r"(//)[^\s/,\"']*@|((?:^|(?<=[\s,\"'])))[^\s/,\"'@]*:[^\s/,\"']*@")
_IN_QUERY = re.compile(
    r"([?&;][^=&\s]*(?:key|token|password|passwd|secret|signature|sig|auth)[^=&\s]*=)[^&;\s\"',]+",
    re.I,
)
# Where a host ends; browsers take a backslash for a slash.
_HOST_ENDS = re.compile(r"[/?#\\]")


def is_remote(uri: str) -> bool:
    """Whether `uri` is an address such as https://..., and not a path."""
    return bool(_SCHEME.match(uri))


def absolute(uri: str, folder: Path | None = None) -> str:
    """An address as it is; a path made absolute, from `folder` or from where the process works."""
    return uri if is_remote(uri) else str((folder or Path()).joinpath(uri).absolute())


def public_uri(uri: str) -> str:
    """An address without user name, password, query and fragment; a path as it is.

    A query may be a key (presigned addresses are), so it is used to fetch and for nothing else: ids,
    titles, answers, messages and logs have this form.
    """
    found = _SCHEME.match(uri)
    if found is None:
        return uri
    scheme, rest = found[0], uri[found.end() :]
    ends = _HOST_ENDS.search(rest)
    authority, path = (rest, "") if ends is None else (rest[: ends.start()], rest[ends.start() :])
    host = authority.rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    if colon and "]" not in port and port and not port.isdecimal():
        # A password with a slash in it looks like this; what follows is the rest of it.
        return scheme + name
    return scheme + host + re.split(r"[?#]", path, maxsplit=1)[0]


def without_passwords(text: str) -> str:
    """A text, such as a setting, in which user name and password of every address are masked, and what
    its query names a key, a token, a password, a secret or a signature."""
    return _IN_QUERY.sub(r"\1***", _CREDENTIALS.sub(lambda found: f"{found[1] or ''}***@", text))
