"""The OpenAPI document of a service: every route has a summary and the same error responses."""

from __future__ import annotations

import re
import threading
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from common.http.direct_routes import DirectRoute
from common.http.error_schemas import ERRORS, PROBLEM_TYPE, ErrorAnswer
from common.http.errors import json_response

_REFERENCE = "#/components/schemas/{model}"
_CLAUSE_END = re.compile(r"[.:;](?:\s|$)")
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


class DocumentedApp(FastAPI):
    """FastAPI, with the error responses of `common/http/errors.py` in the document. direct: the routes
    that are called without FastAPI, by method and path."""

    def __init__(self, **options: Any) -> None:
        # Spans and metrics are our own. Older versions of FastAPI ignore this option.
        options["telemetry"] = {"tracing": False, "metrics": False, "logs": False}
        # Behind a proxy with TLS, FastAPI would redirect to http, and the key would follow.
        options["redirect_slashes"] = False
        # Before FastAPI's own, which calls `setup`.
        self._making = threading.Lock()
        super().__init__(**options)
        self.direct: dict[tuple[str, str], DirectRoute] = {}

    def add_routes(self, router: APIRouter) -> None:
        """Add the routes of a router as they are. `include_router` would make each of them a second time,
        at the first request, to add what an app gives to its routers; this one gives nothing."""
        self.router.routes.extend(router.routes)

    def openapi(self) -> dict[str, Any]:
        """The document, made once, which takes most of a second. Thread-safe."""
        with self._making:
            if self.openapi_schema is None:
                try:
                    document = super().openapi()
                    summarise(document)
                    document_errors(document)
                except BaseException:
                    self.openapi_schema = None
                    raise
            return super().openapi()

    def setup(self) -> None:
        """As of FastAPI, but no request waits while the document is made."""
        path, self.openapi_url = self.openapi_url, None
        super().setup()
        self.openapi_url = path
        if path is not None:
            self.add_api_route(path, self._document, include_in_schema=False)

    async def _document(self, _: Request) -> Response:
        return await to_thread.run_sync(lambda: json_response(self.openapi()))


def summarise(document: dict[str, Any]) -> None:
    """Give every operation the first clause of its description as summary, where FastAPI has the name of
    a function."""
    for operations in document["paths"].values():
        for method in _METHODS & operations.keys():
            description = " ".join(operations[method].get("description", "").split())
            if description:
                operations[method]["summary"] = _CLAUSE_END.split(description, maxsplit=1)[0]


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
