"""Networks: how fast they are, and how busy."""

from __future__ import annotations

from scripts.dashboards.board import EMBEDDER, SERVE, Board, Panel, Query, Row
from scripts.dashboards.promql import quantile, rate, ratio, total
from scripts.dashboards.shared_panels import cpu_panel, memory_panel

_EMBEDS = (SERVE, EMBEDDER)
_HTTP = 'route="/v1/embed"'
_VIDEO = "a searcher sends it only queries of videos that are not in the catalogue"

BOARD = Board(
    "storyhash-embedder",
    "StoryHash: embedder",
    "How fast are the networks, and are they the bottleneck?",
    (
        Row(
            "Networks",
            (
                Panel(
                    "Time per call of a network",
                    "Half of the calls, and 99 of 100, took at most this long.",
                    "s",
                    (
                        Query(
                            quantile(0.5, "encode_duration_seconds", by="model"), "50% {{model}}"
                        ),
                        Query(
                            quantile(0.99, "encode_duration_seconds", by="model"), "99% {{model}}"
                        ),
                    ),
                    _EMBEDS,
                ),
                Panel(
                    "Share of the time spent in networks",
                    "Above 1 several calls run at the same time.",
                    "percentunit",
                    rate("encode_duration_seconds_sum", by="job,instance,model"),
                    _EMBEDS,
                ),
                Panel(
                    "Segments embedded per second",
                    "By process.",
                    "ops",
                    rate("segments_total", 'stage="embed"', by="job,instance,outcome"),
                    _EMBEDS,
                ),
                Panel(
                    "Time per segment",
                    "Processing time of the stage, divided by the segments.",
                    "s",
                    ratio(
                        rate("stage_duration_seconds_sum", 'stage="embed"', by="job,instance"),
                        rate("segments_total", 'stage="embed"', by="job,instance"),
                    ),
                    _EMBEDS,
                ),
                Panel(
                    "Queries embedded for searchers",
                    "Requests per second to POST /v1/embed, by status.",
                    "reqps",
                    rate("http_requests_total", _HTTP, by="status"),
                    (EMBEDDER,),
                    may_be_empty=_VIDEO,
                ),
                Panel(
                    "Queries that wait for an embedder's turn",
                    "Two are embedded at a time.",
                    "short",
                    total("queue_waiting_requests", 'queue="embed"', by="instance"),
                    (EMBEDDER,),
                    alert="StoryHashNoEmbedder",
                ),
            ),
        ),
        Row("Processes", (cpu_panel(_EMBEDS, width=12), memory_panel(_EMBEDS, width=12))),
    ),
)
