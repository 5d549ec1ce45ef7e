"""Kafka, as our consumers and publishers see it, and the Qdrant server."""

from __future__ import annotations

from scripts.dashboards.board import (
    EMBEDDER,
    KAFKA,
    QDRANT,
    SEARCHER,
    SERVE,
    Board,
    Panel,
    Query,
    Row,
)
from scripts.dashboards.promql import rate, total
from scripts.dashboards.shared_panels import message_lag_panel, time_lag_panel

_NONE = "it has a value only after the first one"
# Qdrant's own names; its job is none of the variable's.
_QDRANT = '{job="qdrant"}'

BOARD = Board(
    "storyhash-stores",
    "StoryHash: Qdrant and Kafka",
    "Do the stores respond, and do they keep up?",
    (
        Row(
            "Kafka",
            (
                message_lag_panel(
                    "Lag per process, in messages",
                    "Messages that wait, by stage, topic and process.",
                    "stage,topic,instance",
                ),
                time_lag_panel("Lag per process, in time", "stage,topic,instance"),
                Panel(
                    "Messages that expired unread",
                    "They were older than the topic's retention.",
                    "short",
                    total("expired_messages_total", by="topic,instance"),
                    KAFKA,
                    alert="StoryHashSegmentsExpired",
                ),
                Panel(
                    "Retries, by dependency",
                    "broker is Kafka, storage is the mirror or the disk.",
                    "ops",
                    rate("retries_total", by="stage,dependency,instance"),
                    (SERVE, SEARCHER, EMBEDDER),
                    width=12,
                    may_be_empty=_NONE,
                    alert="StoryHashDependencyFailing",
                ),
                Panel(
                    "Dead letters, by reason",
                    "Messages set aside since the service started.",
                    "short",
                    total("dead_letters_total", by="stage,reason"),
                    (EMBEDDER,),
                    width=12,
                    may_be_empty=_NONE,
                    alert="StoryHashDeadLetters",
                ),
            ),
        ),
        Row(
            "Mirror and Qdrant",
            (
                Panel(
                    "Videos that differ between index and mirror",
                    "Share of the audited videos; 0 is good.",
                    "percentunit",
                    total("mirror_divergence_ratio", by="job,instance", how="max"),
                    (SERVE, SEARCHER),
                    alert="StoryHashMirrorDiverges",
                ),
                Panel(
                    "Points in Qdrant",
                    "Vectors in the server, by collection.",
                    "short",
                    Query(f"sum by (id) (collection_points{_QDRANT})", "{{id}}"),
                    (QDRANT,),
                ),
                Panel(
                    "Requests to Qdrant per second",
                    "By status.",
                    "reqps",
                    Query(
                        f"sum by (status) (rate(rest_responses_total{_QDRANT}[$__rate_interval]))",
                        "{{status}}",
                    ),
                    (QDRANT,),
                ),
                Panel(
                    "Time per request to Qdrant, 95 of 100",
                    "By endpoint.",
                    "s",
                    Query(
                        "histogram_quantile(0.95, sum by (le,endpoint) "
                        f"(rate(rest_responses_duration_seconds_bucket{_QDRANT}[$__rate_interval])))",
                        "{{endpoint}}",
                    ),
                    (QDRANT,),
                    width=12,
                ),
                Panel(
                    "Qdrant is reached",
                    "1 while Prometheus reaches it.",
                    "bool",
                    Query(f"min by (instance) (up{_QDRANT})", "{{instance}}"),
                    (QDRANT,),
                    kind="state-timeline",
                    width=12,
                ),
            ),
        ),
    ),
)
