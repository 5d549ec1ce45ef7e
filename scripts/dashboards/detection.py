"""What is found: decisions per bank, match rate, and whether probabilities drift."""

from __future__ import annotations

from scripts.dashboards.board import API, SERVE, Board, Panel, Query, Row
from scripts.dashboards.promql import increase, metric, quantile, rate, ratio, total

_NO_VERDICT = "it has a value only after the first verdict"
_NO_SECOND = "there is a second opinion only for a data folder with two profiles"

BOARD = Board(
    "storyhash-detection",
    "StoryHash: detection",
    "How much is found, in which bank, and is it as usual?",
    (
        Row(
            "Decisions",
            (
                Panel(
                    "Decisions per bank",
                    "Queries in the time shown. Those without a match have the bank (none).",
                    "short",
                    Query(
                        increase("decisions_total", by="bank,decision"),
                        "{{bank}} {{decision}}",
                        instant=True,
                    ),
                    API,
                    kind="table",
                    width=12,
                ),
                Panel(
                    "Decisions per second",
                    "By bank of the best match.",
                    "ops",
                    rate("decisions_total", by="bank,decision"),
                    API,
                    width=12,
                ),
                Panel(
                    "Precision of the matches that people judged",
                    "Share of the matches with a verdict that are copies or licensed, per bank.",
                    "percentunit",
                    ratio(
                        total("judged_matches", 'verdict="right"', by="bank"),
                        total("judged_matches", 'verdict=~"right|wrong"', by="bank"),
                    ),
                    API,
                    most=1,
                    width=12,
                    may_be_empty=_NO_VERDICT,
                ),
                Panel(
                    "Mean probability of the matches that people judged",
                    "If probabilities are calibrated, it is about the precision beside it.",
                    "percentunit",
                    total("judged_probability", by="bank", how="max"),
                    API,
                    most=1,
                    width=12,
                    may_be_empty=_NO_VERDICT,
                ),
                Panel(
                    "Match rate",
                    "Share of the queries of the last hour that are copies or go to review.",
                    "percentunit",
                    total("storyhash:match_rate:ratio_rate1h", by="job", how="max"),
                    API,
                    most=1,
                ),
                Panel(
                    "Queries that go to review, as a share",
                    "If it grows, thresholds or the catalogue changed.",
                    "percentunit",
                    ratio(
                        rate("decisions_total", 'decision="review"', by="job", window="1h"),
                        rate("decisions_total", by="job", window="1h"),
                    ),
                    API,
                    most=1,
                ),
                Panel(
                    "Queries per second",
                    "Videos matched: uploads, addresses and new videos.",
                    "ops",
                    rate("match_probability_count", by="job,instance"),
                    API,
                ),
            ),
        ),
        Row(
            "Probabilities",
            (
                Panel(
                    "Best probability of each query",
                    "Most should be near 0 or near 1. Many in the middle are hard to decide.",
                    "short",
                    increase("match_probability_bucket", by="le", window="$__rate_interval"),
                    API,
                    kind="heatmap",
                    width=12,
                ),
                Panel(
                    "Mean probability, and how it drifts",
                    "Last hour against last day. A jump means other videos, catalogue or model.",
                    "percentunit",
                    (
                        Query(
                            f"max by (job) ({metric('storyhash:match_probability:mean_rate1h')})",
                            "{{job}}, last hour",
                        ),
                        Query(
                            f"max by (job) ({metric('storyhash:match_probability:mean_rate1d')})",
                            "{{job}}, last day",
                        ),
                    ),
                    API,
                    width=12,
                    most=1,
                ),
            ),
        ),
        Row(
            "Second opinion",
            (
                Panel(
                    "Second opinions per second, by outcome",
                    "Copy, review: it alone led to this decision. Not indexed: it lacks the video.",
                    "ops",
                    rate("second_opinions_total", by="outcome"),
                    API,
                    may_be_empty=_NO_SECOND,
                    width=12,
                ),
                Panel(
                    "Copies that the second opinion alone found",
                    "As a share of all queries that are copies, in the last hour.",
                    "percentunit",
                    ratio(
                        rate("second_opinions_total", 'outcome="copy"', by="job", window="1h"),
                        rate("decisions_total", 'decision="copy"', by="job", window="1h"),
                    ),
                    API,
                    most=1,
                    may_be_empty=_NO_SECOND,
                    width=12,
                ),
                Panel(
                    "Time of a second opinion",
                    "Of 95 in 100. Sent: embedded again. Indexed: a video of the catalogue.",
                    "s",
                    quantile(0.95, "second_opinion_duration_seconds", by="query"),
                    API,
                    may_be_empty=_NO_SECOND,
                    width=12,
                ),
                Panel(
                    "Videos that the second index lacks",
                    "Waiting ones are being indexed. Failed ones are tried again at the next start.",
                    "short",
                    total("second_opinion_missing_videos", by="job,state"),
                    (SERVE,),
                    may_be_empty=_NO_SECOND,
                    alert="StoryHashSecondOpinionBehind",
                    width=12,
                ),
            ),
        ),
    ),
)
