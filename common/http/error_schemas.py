"""The JSON of errors, for OpenAPI documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from common.http.error_codes import error_codes
from common.http.schema import Schema, examples

PROBLEM_TYPE = "application/problem+json"
_CODE: dict[str, Any] = {"enum": list(error_codes())}


class ErrorInfo(Schema):
    """An error: `code` for programs, `message` for people."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The body of every error response, as RFC 9457 says. `code` is for programs, `detail` for people;
    `error` has both under their former names."""

    model_config = examples(
        {
            "type": "urn:storyhash:error:unknown_video",
            "title": "No such video",
            "status": 404,
            "detail": "no video 'tea.mp4' is indexed; /v1/videos lists them",
            "code": "unknown_video",
            "error": {
                "code": "unknown_video",
                "message": "no video 'tea.mp4' is indexed; /v1/videos lists them",
            },
        }
    )
    type: str = Field(description="`urn:storyhash:error:` and the code.")
    title: str = Field(description="What the code means; the same for all errors with this code.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do next. One line.")
    # The model takes any text, so that an older client can read a newer code.
    code: str = Field(json_schema_extra=_CODE)
    error: ErrorInfo


def problem(status: int, code: str, title: str, message: str) -> dict[str, Any]:
    """The body of an error response, an ErrorAnswer."""
    return {
        "type": f"urn:storyhash:error:{code}",
        "title": title,
        "status": status,
        "detail": message,
        "code": code,
        "error": {"code": code, "message": message},
    }


# The error responses of a route; `DocumentedApp` adds their content.
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Client error."},
    "5XX": {"description": "Server error or temporarily unavailable."},
}
