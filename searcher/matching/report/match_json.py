"""The JSON of a match report, for the command line and the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.errors import StoryHashError
from common.types import Match
from common.uris import public_uri
from searcher.decisions import Decision
from searcher.matching.localisation.range_confidence import CERTAIN
from searcher.matching.report.match_report import MatchReport
from searcher.storage.uploads import shown_uri

# Version of the JSON of a report. 1, without this field: `matches` also had candidates that are no match.
SCHEMA_VERSION = 2


def report_to_json(report: MatchReport, uri_of: Callable[[str], str]) -> dict[str, Any]:
    """The JSON of one query's report. uri_of: returns the URI of an indexed video."""

    def item(match: Match, decision: Decision) -> dict[str, Any]:
        return {
            "video_id": match.video_id,
            "uri": shown_uri(match.video_id, uri_of(match.video_id)),
            "bank": match.bank,
            "score": round(match.score, 4),
            "probability": round(match.probability, 4),
            "search_view": match.view,
            # Its former name.
            "view": match.view,
            "query_start_seconds": round(match.query_start_seconds, 3),
            "query_end_seconds": round(match.query_end_seconds, 3),
            "ref_start_seconds": round(match.ref_start_seconds, 3),
            "ref_end_seconds": round(match.ref_end_seconds, 3),
            "coverage": round(match.coverage, 4),
            **_range_json(match),
            "decision": decision,
            "evidence": match.evidence,
            **_transform_json(match, decision),
        }

    answer: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "query": {
            "uri": public_uri(report.uri),
            "duration_seconds": round(report.duration_seconds, 3),
        },
        "model_id": report.model_id,
        "decision": report.decision,
        "matches": list(map(item, report.matches, report.decisions)),
        "candidates": [item(run, "no_match") for run in report.candidates],
    }
    if report.damaged:
        answer["query"]["damaged"] = report.damaged
    if report.truncated:
        answer["truncated"] = report.truncated
    if report.reason:
        answer["reason"] = report.reason
    return answer


def _transform_json(match: Match, decision: Decision) -> dict[str, Any]:
    """Which edit made the query; empty of a non-match, which no edit made."""
    if match.transform is None or decision == "no_match":
        return {}
    return {"transform": match.transform}


def _range_json(match: Match) -> dict[str, Any]:
    """How certain the ranges are; empty if it was not measured."""
    confidence = match.range_confidence
    if confidence is None:
        return {}
    return {"range_confidence": round(confidence, 4), "range_certain": confidence >= CERTAIN}


def error_to_json(uri: str, error: StoryHashError) -> dict[str, Any]:
    """The JSON of a query that could not be read."""
    return {"query": {"uri": public_uri(uri)}, "error": {"code": error.code, "message": str(error)}}
