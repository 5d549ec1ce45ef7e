"""Refuses unknown query parameters, so that a mistyped filter is not ignored."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request

from common.http.errors import ApiError

UNKNOWN_PARAMETER = "unknown_parameter"
"""Code of the error for a parameter that the route does not have."""

_KNOWN = "storyhash_parameters"


def check_parameters(request: Request) -> None:
    """Raises ApiError (422) for a query parameter that the route does not document."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = getattr(route, _KNOWN, None)
    if known is None:
        known = _documented(route)
        setattr(route, _KNOWN, known)
    for name in request.query_params:
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise ApiError(
                422,
                UNKNOWN_PARAMETER,
                f"unknown query parameter {name[:100]!r}; {has}",
                close=True,
            )


def _documented(route: APIRoute) -> frozenset[str]:
    """The query parameters that FastAPI reads for a route, and those that the route reads itself."""
    read = {field.alias for field in route.dependant.query_params}
    own = {
        one["name"]
        for one in (route.openapi_extra or {}).get("parameters", ())
        if one["in"] == "query"
    }
    return frozenset(read | own)


def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A query parameter in the OpenAPI document, for routes that read theirs themselves."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


def parameters_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The query parameters that a model reads, with the descriptions and bounds of its fields."""
    documented = []
    for name, field in model.model_json_schema()["properties"].items():
        # An optional field is not nullable: it is left out.
        schema = dict(field.get("anyOf", [field])[0])
        for key in ("title", "default", "description"):
            schema.pop(key, None)
        documented.append(parameter(name, schema, field["description"]))
    return documented
