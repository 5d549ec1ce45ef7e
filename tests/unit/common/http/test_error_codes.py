"""The codes of errors: every one that the code raises is listed, and none else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from common import errors
from common.http.error_codes import _API_CODES, error_codes, status_of, title_of
from common.http.error_schemas import ErrorAnswer, problem
from embedder.query.open_queries import UNKNOWN_QUERY

_ROOT = Path(__file__).parents[4]
_PACKAGES = ("common", "ingest", "embedder", "searcher", "storyhash")
# Calls with a status and a code, and the positions of the two.
_CALLS = {"ApiError": (0, 1), "error_response": (0, 1), "_refuse": (0, 1)}


def _raised() -> Iterator[tuple[int, str, str]]:
    """Status, code and file of each error that has a status of its own."""
    for path in sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py")):
        text = path.read_text()
        if not any(name in text for name in _CALLS):
            continue
        for call in ast.walk(ast.parse(text)):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name not in _CALLS or len(call.args) < 2:
                continue
            status, code = (call.args[place] for place in _CALLS[name])
            if isinstance(status, ast.Constant) and isinstance(status.value, int):
                module = ".".join(path.relative_to(_ROOT).with_suffix("").parts)
                yield status.value, _text(code, module), str(path)


def _text(code: ast.expr, module: str) -> str:
    if isinstance(code, ast.Constant):
        return str(code.value)
    value: Any = import_module(module)
    for name in ast.unparse(code).split("."):
        value = getattr(value, name)
    return str(value)


def test_every_code_that_is_raised_is_listed_with_its_status() -> None:
    raised = list(_raised())
    for status, code, where in raised:
        assert code in error_codes(), f"add {code} of {where} to common/http/error_codes.py"
        assert status in error_codes()[code].statuses, (code, where)
    codes = {code for _, code, _ in raised}
    assert UNKNOWN_QUERY in codes
    # Not raised in this way: routes of Starlette, request headers, titles of exceptions.
    others = {"no_such_route", "method_not_allowed", "failed", "unreadable"}
    assert set(_API_CODES) - others <= codes


def test_every_exception_has_a_code_with_a_title() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.StoryHashError):
            assert status_of(kind) in error_codes()[kind.code].statuses
    for code, known in error_codes().items():
        assert known.title, code
        assert not known.title.endswith("."), code


def test_the_schema_lists_every_code() -> None:
    schema = ErrorAnswer.model_json_schema()["properties"]["code"]
    assert schema["enum"] == list(error_codes())


def test_a_client_reads_codes_that_it_does_not_know() -> None:
    body = problem(418, "teapot", title_of("teapot"), "no coffee")
    assert ErrorAnswer.model_validate(body).code == "teapot"


@pytest.mark.parametrize("name", ["code", "message"])
def test_the_former_fields_are_kept(name: str) -> None:
    body = problem(404, "unknown_video", "No such video", "no video 'a'")
    assert body["error"][name] == {"code": body["code"], "message": body["detail"]}[name]
