"""The routes of an OpenAPI document with ids of things that exist: a test reaches each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Route:
    """A route as it can be called. parameters: names of its query parameters. role: the least one; empty
    if it needs no key."""

    method: str
    template: str
    path: str
    parameters: tuple[str, ...]
    role: str

    @property
    def has_id(self) -> bool:
        return "{" in self.template

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def routes(document: Mapping[str, Any], ids: Mapping[str, object]) -> Iterator[Route]:
    """Every route. ids: a value for each path parameter; KeyError for one that is not there, so that a
    new kind of id is not forgotten."""
    for template, operations in document["paths"].items():
        path = _PARAMETER.sub(lambda found: quote(str(ids[found[1]]), safe="/"), template)
        for method in _METHODS:
            if method not in operations:
                continue
            operation = operations[method]
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            roles = [scope for one in operation.get("security", ()) for scope in one.get("key", ())]
            yield Route(method.upper(), template, path, tuple(names), "".join(roles))


# A body that a route takes, so that a refusal is not one of the body. Routes without one here take none,
# or are refused before their body matters.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /v1/matches/{match_id}/verdicts": {"verdict": "copy"},
    "PATCH /v1/videos/{video_id}": {"title": "mine"},
    "PUT /v1/banks/{bank}": {},
}


def references(part: object) -> Iterator[str]:
    """What a part of an OpenAPI document refers to."""
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)
