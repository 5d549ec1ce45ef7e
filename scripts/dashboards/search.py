"""Searches against the target of 1 ms, and the index they run in."""

from __future__ import annotations

from scripts.dashboards.board import API, Board, Panel, Query, Row
from scripts.dashboards.promql import metric, quantile, rate, ratio, total

TARGET_SECONDS = 0.001
# One search in a hundred may be slower.
BUDGET = 0.01


def _quantiles(name: str) -> tuple[Query, ...]:
    return tuple(
        Query(quantile(share, name), f"{share:.0%} of them") for share in (0.5, 0.95, 0.99)
    )


def _burn(window: str) -> Query:
    recorded = metric(f"storyhash:search_slow:ratio_rate{window}")
    return Query(f"max by (job) ({recorded}) / {BUDGET}", f"{{{{job}}}}, last {window}")


BOARD = Board(
    "storyhash-search",
    "StoryHash: search",
    "Is POST /v1/search under 1 ms, and is the index in order?",
    (
        Row(
            "Searches (POST /v1/search)",
            (
                Panel(
                    "Searches under 1 ms",
                    "Share of the /v1/search requests; the target is 99 %.",
                    "percentunit",
                    Query(
                        ratio(
                            rate("query_duration_seconds_bucket", 'le="0.001"'),
                            rate("query_duration_seconds_count"),
                        ),
                        "under 1 ms",
                    ),
                    API,
                    most=1,
                    alert="StoryHashQueriesSlow",
                ),
                Panel(
                    "Query latency",
                    "Time in the service per /v1/search request; the red line is the target.",
                    "s",
                    _quantiles("query_duration_seconds"),
                    API,
                    limit=TARGET_SECONDS,
                    alert="StoryHashQueriesSlow",
                ),
                Panel(
                    "Error budget burn rate",
                    "1 uses up the budget (1 search in 100 over 1 ms) exactly; 14.4 raises the alert.",
                    "short",
                    (_burn("5m"), _burn("1h"), _burn("6h")),
                    API,
                    limit=14.4,
                    alert="StoryHashQueriesSlow",
                ),
                Panel(
                    "Index latency",
                    "Time of the search in the index alone, per request.",
                    "s",
                    _quantiles("search_duration_seconds"),
                    API,
                ),
                Panel(
                    "Searches per second",
                    "Answered /v1/search requests.",
                    "reqps",
                    rate("query_duration_seconds_count", by="job,instance"),
                    API,
                ),
                Panel(
                    "Searches that wait or are refused",
                    "Large searches take turns; more than 64 waiting ones are refused.",
                    "short",
                    (
                        Query(total("queue_waiting_requests", 'queue="search"'), "waiting"),
                        Query(
                            rate("queue_refused_requests_total", 'queue="search"'),
                            "refused per second",
                        ),
                    ),
                    API,
                    alert="StoryHashRequestsRefused",
                ),
            ),
        ),
        Row(
            "Index",
            (
                Panel(
                    "Vectors in the index",
                    "Live ones answer; dead ones are removed by the next merge.",
                    "short",
                    total("index_vectors", by="job,state"),
                    API,
                ),
                Panel(
                    "Vectors that are not in the graph yet",
                    "Each search compares every one of them.",
                    "short",
                    total("index_waiting_vectors", by="job,instance"),
                    API,
                ),
                Panel(
                    "Nearest segments found",
                    "Recall against exact search, measured on a sample.",
                    "percentunit",
                    total("index_recall_ratio", by="job,instance", how="min"),
                    API,
                    most=1,
                    alert="StoryHashRecallPoor",
                ),
                Panel(
                    "Candidates per search",
                    "Kept while the graph is searched, as the recall target needs.",
                    "short",
                    total("index_search_candidates", by="job,instance", how="max"),
                    API,
                ),
                Panel(
                    "Videos that differ between index and mirror",
                    "Share of the audited videos; 0 is good.",
                    "percentunit",
                    total("mirror_divergence_ratio", by="job,instance", how="max"),
                    API,
                    alert="StoryHashMirrorDiverges",
                ),
            ),
        ),
    ),
)
