"""Matches as CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

CSV_TYPE = "text/csv"
# A spreadsheet takes a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PLAIN = (
    *("id", "decision", "probability", "score", "bank", "ref_video_id", "ref_uri"),
    *("matched_seconds", "coverage", "found_at", "times_found"),
)
_OF_QUERY = ("kind", "fingerprint", "uri", "duration_seconds")
_OF_RANGE = (
    *("query_start_seconds", "query_end_seconds"),
    *("ref_start_seconds", "ref_end_seconds"),
)
_OF_VERDICT = ("verdict", "reason", "note", "author", "created_at")
COLUMNS = (
    *_PLAIN,
    *(f"query_{name}" for name in _OF_QUERY),
    *_OF_RANGE,
    *(name if name == "verdict" else f"verdict_{name}" for name in _OF_VERDICT),
    *("ref_title", "query_title"),
)


def csv_response(request: Request, page: Mapping[str, Any]) -> Response:
    """A page of matches, each with its best range. The header `Link` names the next page."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for match in page["items"]:
        rows.writerow(map(_cell, _row(match)))
    headers = {}
    if page["next_cursor"] is not None:
        following = request.url.include_query_params(cursor=page["next_cursor"])
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return Response(text.getvalue().encode(errors="replace"), headers=headers, media_type=CSV_TYPE)


def _row(match: Mapping[str, Any]) -> Sequence[Any]:
    ranges: Sequence[Mapping[str, Any]] = match["ranges"]
    best = max(ranges, key=lambda one: float(one["probability"]))
    verdict = match["verdict"] or {}
    return [
        *(match[name] for name in _PLAIN),
        *(match["query"].get(name) for name in _OF_QUERY),
        *(best.get(name) for name in _OF_RANGE),
        *(verdict.get(name) for name in _OF_VERDICT),
        *(match["ref_title"], match["query"].get("title", "")),
    ]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
