"""The OpenAPI document of a service: every route has the same error responses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from common.http.direct_routes import DirectRoute
from common.http.error_schemas import ERRORS, PROBLEM_TYPE, ErrorAnswer

_REFERENCE = "#/components/schemas/{model}"
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


class DocumentedApp(FastAPI):
    """FastAPI, with the error responses of `common/http/errors.py` in the document. direct: the routes
    that are called without FastAPI, by method and path."""

    def __init__(self, **options: Any) -> None:
        # Spans and metrics are our own. Newer versions of FastAPI ask for each request whether they shall
        # make some too; older ones ignore the option.
        options["telemetry"] = {"tracing": False, "metrics": False, "logs": False}
        super().__init__(**options)
        self.direct: dict[tuple[str, str], DirectRoute] = {}

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document_errors(super().openapi())
        return super().openapi()


def document_errors(document: dict[str, Any]) -> None:
    """Add the error responses to every operation. A response that documents its own content keeps it."""
    schema = ErrorAnswer.model_json_schema(ref_template=_REFERENCE)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(schema.pop("$defs"))
    schemas[ErrorAnswer.__name__] = schema
    content = {PROBLEM_TYPE: {"schema": {"$ref": _REFERENCE.format(model=ErrorAnswer.__name__)}}}
    for operations in document["paths"].values():
        for method in _METHODS & operations.keys():
            responses = operations[method]["responses"]
            for status, response in ERRORS.items():
                responses.setdefault(status, dict(response))
            for status, response in responses.items():
                if status[0] in "45":
                    response.setdefault("content", content)
