"""From a video to a searchable video: what waits, for how long, and what fails."""

from __future__ import annotations

from scripts.dashboards.board import (
    EMBEDDER,
    KAFKA,
    PRODUCER,
    SEARCHER,
    SERVE,
    Board,
    Panel,
    Query,
    Row,
)
from scripts.dashboards.promql import quantile, rate, total
from scripts.dashboards.shared_panels import message_lag_panel, time_lag_panel

_INDEXES = (SERVE, SEARCHER)
_NONE = "it has a value only after the first one"

BOARD = Board(
    "storyhash-pipeline",
    "StoryHash: pipeline",
    "How long do videos wait until they are searchable, and what fails on the way?",
    (
        Row(
            "Lag",
            (
                Panel(
                    "Time until a segment is searchable",
                    "From its production until it can be found.",
                    "s",
                    tuple(
                        Query(quantile(share, "freshness_seconds"), f"{share:.0%} of them")
                        for share in (0.5, 0.95, 0.99)
                    ),
                    _INDEXES,
                    alert="StoryHashFreshnessPoor",
                ),
                time_lag_panel("How far behind consumers are, in time", "stage,topic"),
                message_lag_panel(
                    "How far behind consumers are, in messages",
                    "Messages that wait, by stage and topic. A backfill may wait long.",
                    "stage,topic",
                ),
                Panel(
                    "Videos queued in `serve`, by waiting time",
                    "Videos that wait to be indexed, since they were queued or since the start.",
                    "short",
                    total("pending_videos", by="age"),
                    (SERVE,),
                    width=12,
                    alert="StoryHashIndexingStuck",
                ),
                Panel(
                    "Incomplete videos, by time since their last segment",
                    "Videos in staging of the searcher.",
                    "short",
                    total("staged_videos", by="age"),
                    (SEARCHER,),
                    width=12,
                    alert="StoryHashVideosWaiting",
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    "Videos per second, by stage and outcome",
                    "Videos that were sent, indexed, deleted, or failed.",
                    "ops",
                    rate("videos_total", by="stage,outcome"),
                    (SERVE, SEARCHER, PRODUCER),
                ),
                Panel(
                    "Segments per second, by stage and outcome",
                    "Segments of 4 s that were produced, embedded, or made searchable.",
                    "ops",
                    rate("segments_total", by="stage,outcome"),
                    (SERVE, SEARCHER, EMBEDDER, PRODUCER),
                ),
                Panel(
                    "Time per batch, 95 of 100, by stage",
                    "Processing time of one batch.",
                    "s",
                    quantile(0.95, "stage_duration_seconds", by="stage"),
                    (SERVE, SEARCHER, EMBEDDER, PRODUCER),
                ),
            ),
        ),
        Row(
            "Failures",
            (
                Panel(
                    "Videos that fail, as a share",
                    "Failed videos of the last hour, by stage.",
                    "percentunit",
                    total("storyhash:videos_failed:ratio_rate1h", by="job,stage", how="max"),
                    (SERVE, SEARCHER, PRODUCER),
                    limit=0.2,
                    alert="StoryHashVideosFailing",
                ),
                Panel(
                    "Dead letters",
                    "Messages set aside since the service started, by reason.",
                    "short",
                    total("dead_letters_total", by="stage,reason"),
                    (EMBEDDER,),
                    may_be_empty=_NONE,
                    alert="StoryHashDeadLetters",
                ),
                Panel(
                    "Retries per second",
                    "Retries after a dependency failed.",
                    "ops",
                    rate("retries_total", by="stage,dependency"),
                    (*_INDEXES, EMBEDDER),
                    may_be_empty=_NONE,
                    alert="StoryHashDependencyFailing",
                ),
                Panel(
                    "Messages that expired unread",
                    "Their videos are not searchable; send them again.",
                    "short",
                    total("expired_messages_total", by="topic"),
                    KAFKA,
                    alert="StoryHashSegmentsExpired",
                ),
                Panel(
                    "Matching jobs, by state",
                    "Finished ones are kept for a day.",
                    "short",
                    total("jobs", by="state", how="max"),
                    _INDEXES,
                    width=16,
                ),
            ),
        ),
        Row(
            "Webhooks",
            (
                Panel(
                    "Deliveries per second, by outcome",
                    "failed: an attempt that is repeated. dead: given up.",
                    "ops",
                    rate("webhook_deliveries_total", by="outcome"),
                    _INDEXES,
                    width=12,
                    alert="StoryHashWebhooksFailing",
                ),
                Panel(
                    "Events that wait for their receiver",
                    "Deliveries that are not accepted yet, by time since they were queued.",
                    "short",
                    total("webhook_pending_deliveries", by="age"),
                    _INDEXES,
                    width=12,
                    alert="StoryHashWebhooksFailing",
                ),
            ),
        ),
    ),
)
