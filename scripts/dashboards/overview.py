"""What an operator looks at first: does it answer, does it index, does anything fail."""

from __future__ import annotations

from functools import partial

from scripts.dashboards.board import (
    ALL,
    API,
    EMBEDDER,
    PRODUCER,
    SEARCHER,
    SERVE,
    Board,
    Panel,
    Query,
    Row,
)
from scripts.dashboards.promql import increase, metric, quantile, rate, ratio, total
from scripts.dashboards.shared_panels import cpu_panel, memory_panel

_MATCH = 'route="/v1/match"'
_UP = metric("up", 'job=~"serve|searcher|embedder|producer"')

_number = partial(Panel, kind="stat", width=4, height=4)

BOARD = Board(
    "storyhash",
    "StoryHash: overview",
    "Does it answer, does it index, does anything fail?",
    (
        Row(
            "Now",
            (
                _number(
                    "Videos matched",
                    "Queries that got a decision in the time shown: uploads, addresses and new videos.",
                    "short",
                    Query(increase("match_probability_count"), "videos"),
                    API,
                ),
                _number(
                    "Time to match a video, 95 of 100",
                    "95 of 100 match requests took at most this long, upload included.",
                    "s",
                    Query(quantile(0.95, "http_request_duration_seconds", _MATCH), "p95"),
                    API,
                ),
                _number(
                    "Queries that are copies or go to review",
                    "Share of the queries in the time shown.",
                    "percentunit",
                    Query(
                        ratio(
                            increase("decisions_total", 'decision=~"copy|review"'),
                            increase("decisions_total"),
                        ),
                        "match rate",
                    ),
                    API,
                ),
                _number(
                    "Videos that wait to be indexed",
                    "Queued in `serve`, or incomplete in a searcher.",
                    "short",
                    Query(
                        f"sum({metric('pending_videos')} or {metric('staged_videos')})", "videos"
                    ),
                    API,
                    alert="StoryHashIndexingStuck",
                ),
                _number(
                    "Videos that failed",
                    "Videos that could not be read or indexed, in the time shown.",
                    "short",
                    Query(
                        increase("videos_total", 'stage=~"ingest|search"', 'outcome="failed"'),
                        "videos",
                    ),
                    (SERVE, SEARCHER, PRODUCER),
                    alert="StoryHashVideosFailing",
                ),
                _number(
                    "Services that are down or not ready",
                    "Targets that Prometheus cannot reach, or whose /readyz is 503.",
                    "short",
                    Query(f"count({metric('ready')} == 0 or {_UP} == 0) or vector(0)", "services"),
                    ALL,
                    alert="StoryHashNotReady",
                    limit=1,
                ),
            ),
        ),
        Row(
            "Requests",
            (
                Panel(
                    "Requests per second, by route and status",
                    "Every HTTP request except health and metrics.",
                    "reqps",
                    Query(rate("http_requests_total", by="route,status"), "{{status}} {{route}}"),
                    (*API, EMBEDDER),
                    width=12,
                    alert="StoryHashRequestsFailing",
                ),
                Panel(
                    "Time per request, 95 of 100, by route",
                    "From the first byte to the end of the response.",
                    "s",
                    quantile(0.95, "http_request_duration_seconds", by="route"),
                    (*API, EMBEDDER),
                    width=12,
                ),
                Panel(
                    "Requests in progress and in queues",
                    "Requests without an answer, those that work, and those that wait for their turn.",
                    "short",
                    (
                        Query(total("http_requests_in_progress", by="job"), "in progress, {{job}}"),
                        Query(total("queue_running_requests", by="queue"), "working, {{queue}}"),
                        Query(total("queue_waiting_requests", by="queue"), "waiting, {{queue}}"),
                    ),
                    (*API, EMBEDDER),
                ),
                Panel(
                    "Requests refused because a queue was full",
                    "Answered with 503 or 429, and Retry-After.",
                    "reqps",
                    rate("queue_refused_requests_total", by="queue"),
                    (*API, EMBEDDER),
                    alert="StoryHashRequestsRefused",
                ),
                Panel(
                    "Bytes uploaded per second",
                    "Videos sent in the body of a request.",
                    "Bps",
                    rate("upload_bytes_total", by="job"),
                    (*API, EMBEDDER),
                ),
            ),
        ),
        Row(
            "Health",
            (
                Panel(
                    "Ready",
                    "1 while /readyz says ready.",
                    "bool",
                    total("ready", by="job,instance", how="min"),
                    ALL,
                    kind="state-timeline",
                    alert="StoryHashNotReady",
                ),
                Panel(
                    "Background threads that run",
                    "1 while a thread runs, 0 after it died.",
                    "bool",
                    Query(
                        total("background_thread_up", by="job,instance,thread", how="min"),
                        "{{job}} {{thread}}",
                    ),
                    API,
                    kind="state-timeline",
                    alert="StoryHashThreadDied",
                ),
                Panel(
                    "Background threads that died",
                    "Deaths since the service started.",
                    "short",
                    Query(
                        total("background_thread_deaths_total", by="job,instance,thread"),
                        "{{job}} {{thread}}",
                    ),
                    API,
                    alert="StoryHashThreadDied",
                ),
                Panel(
                    "Free space for the data folder",
                    "Share of the disk; a snapshot needs as much space again as the index.",
                    "percentunit",
                    Query(
                        f"{metric('data_free_bytes')} / {metric('data_size_bytes')}",
                        "{{job}} {{instance}}",
                    ),
                    ALL,
                    alert="StoryHashDiskFull",
                    most=1,
                ),
                Panel(
                    "Age of the newest backup",
                    "Complete backups in the folder for backups; the alert waits 36 hours.",
                    "s",
                    Query(
                        f"time() - ({metric('last_backup_timestamp_seconds')} > 0)",
                        "{{job}} {{instance}}",
                    ),
                    API,
                    may_be_empty="it has a value only after the first backup",
                    alert="StoryHashBackupOld",
                    limit=36 * 3600,
                ),
                memory_panel(ALL),
                cpu_panel(ALL),
                Panel(
                    "Versions",
                    "What runs where.",
                    "short",
                    Query(
                        total("build_info", by="job,instance,service,version", how="min"),
                        "{{service}}",
                        instant=True,
                    ),
                    ALL,
                    kind="table",
                    width=16,
                ),
            ),
        ),
    ),
)
