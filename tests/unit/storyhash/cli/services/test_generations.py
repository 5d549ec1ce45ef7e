"""`storyhash generations`, at a service that has none."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from common.errors import UsageError
from common.http.errors import error_response
from tests.support.http_server import serving
from tests.unit.storyhash.cli.administration.test_keys import run


def no_route(handler: BaseHTTPRequestHandler) -> None:
    """As a service answers without the route."""
    answer = error_response(404, "no_such_route", "no route; /openapi.json lists them")
    handler.send_response(answer.status_code)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(answer.body)


def test_a_service_without_generations_is_told_with_what_to_call_instead() -> None:
    with serving({"/v1/generations": no_route}) as url, pytest.raises(UsageError) as refused:
        run("generations", "list", "--server", url)
    message = str(refused.value)
    assert message.startswith(f"{url} has no generations")
    for instead in ("`storyhash search`", "--server", "`storyhash doctor --data DIR`"):
        assert instead in message
