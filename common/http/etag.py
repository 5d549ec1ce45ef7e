"""ETags: a client that has a resource already gets no second copy of it."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.http.errors import json_response, to_json


def tagged_response(request: Request, value: Any) -> Response:
    """A value as JSON with its ETag; 304 without a body if `If-None-Match` names it."""
    tag = f'"{hashlib.sha256(to_json(value)).hexdigest()[:32]}"'
    # The browser may keep it, but asks each time whether it is still valid.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    given = request.headers.get("if-none-match", "")
    names = {name.strip().removeprefix("W/") for name in given.split(",")}
    if tag in names or names == {"*"}:
        return Response(status_code=304, headers=headers)
    return json_response(value, headers=headers)
