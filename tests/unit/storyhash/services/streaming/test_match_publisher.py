"""New videos are matched and told of, one after the other, whatever one of them does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import pytest

from common.messaging.events import MatchEvent
from common.messaging.wire import from_message
from common.metrics import Metrics
from common.state.matches import MatchFilter
from common.work_in_progress import WorkInProgress
from searcher.local_index import LocalIndex
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.calibration import load_calibration
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.metrics import begin_second_opinions
from searcher.review.reviews import Reviews
from searcher.serving import SecondIndex, ServingIndex
from storyhash.second_index import covered_by
from storyhash.services.background import end_all
from storyhash.services.match_new_video import match_new_video
from storyhash.services.streaming import match_publisher
from storyhash.services.streaming.match_publisher import MatchPublisher
from tests.support import preloaded
from tests.support.embeddings import MODEL_ID, video
from tests.support.keys import opened_state
from tests.support.memory_transport import MemoryTransport
from tests.support.services import clean_environment, wait_until
from tests.unit.searcher.log.test_consumer import end, feed, open_index

TOPIC = "matches"


@pytest.fixture
def index(tmp_path: Path, rng: np.random.Generator) -> Iterator[LocalIndex]:
    """Three videos that are to be matched; `b` is a copy of `a`."""
    with open_index(tmp_path / "data") as opened:
        again = np.random.default_rng(3), np.random.default_rng(3)
        for name, each in zip("abc", (*again, rng), strict=True):
            feed(opened, *video(each, name, 4), end(name, 4))
        yield opened


@pytest.fixture
def second(index: LocalIndex, tmp_path: Path) -> Iterator[SecondIndex]:
    """Of another profile, to which `c` is a copy of `a`; it does not have `c` yet."""
    with open_index(tmp_path / "second") as opened:
        feed(opened, *video(np.random.default_rng(8), "a", 4), end("a", 4))
        feed(opened, *video(np.random.default_rng(9), "b", 4), end("b", 4))
        yield SecondIndex(opened, matcher_of(opened), covered_by(index.videos, opened.videos))


def add_c(second: SecondIndex) -> None:
    feed(second.index, *video(np.random.default_rng(8), "c", 4), end("c", 4))


def matcher_of(index: LocalIndex) -> Matcher:
    calibration = load_calibration("offline")
    return Matcher(index, MODEL_ID, calibration, Policies(default_policy(calibration)))


@contextmanager
def opened_reviews() -> Iterator[Reviews]:
    with TemporaryDirectory() as folder, opened_state(Path(folder)) as state:
        yield Reviews(lambda: state)


def announce(
    index: LocalIndex,
    transport: MemoryTransport,
    in_hand: WorkInProgress | None = None,
    reviews: Reviews | None = None,
    second: SecondIndex | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    metrics: Metrics | None = None,
) -> dict[str, dict[str, Any]]:
    """The report told of each video, once none is left to be told of."""
    if reviews is None:
        with opened_reviews() as reviews:
            return announce(index, transport, in_hand, reviews, second, meanwhile, metrics)
    answering = ServingIndex("", index, matcher_of(index), second)
    catalogue = SimpleNamespace(answering=lambda: answering)
    metrics = metrics or Metrics.create("search")
    announcer = MatchPublisher(catalogue, transport, TOPIC, metrics, reviews, in_hand)  # type: ignore[arg-type]
    announcer.start()
    try:
        meanwhile()
        wait_until(lambda: not index.staging.unmatched(), "every match", 300, 0.01)
    finally:
        end_all([announcer])
    events = [from_message(one).event for one in transport.scan(TOPIC)]
    return {one.video_id: dict(one.report) for one in events if isinstance(one, MatchEvent)}


def test_every_new_video_is_told_of_with_what_it_matches(index: LocalIndex) -> None:
    told = announce(index, MemoryTransport())
    decisions = {name: report["decision"] for name, report in told.items()}
    assert decisions == {"a": "copy", "b": "copy", "c": "no_match"}
    assert told["a"]["matches"][0]["video_id"] == "b"


def test_where_no_copy_is_found_a_new_video_waits_for_the_second_opinion(
    index: LocalIndex, second: SecondIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_publisher, "_SECOND_SECONDS", 1e9)

    def meanwhile() -> None:
        wait_until(lambda: len(index.staging.unmatched()) == 1, "the others", 300, 0.01)
        add_c(second)

    told = announce(index, MemoryTransport(), second=second, meanwhile=meanwhile)
    assert {name: report["decision"] for name, report in told.items()} == {
        "a": "copy",
        "b": "copy",
        "c": "copy",
    }
    # The second profile does not take `a` for a copy of `b`, and is not asked about them.
    assert [match["video_id"] for match in told["a"]["matches"]] == ["b"]
    assert told["c"]["matches"][0]["video_id"] == "a"


def test_a_second_opinion_that_does_not_get_a_new_video_is_not_waited_for_long(
    index: LocalIndex, second: SecondIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_publisher, "_SECOND_SECONDS", 0.0)
    told = announce(index, MemoryTransport(), second=second)
    assert told["c"]["decision"] == "no_match"


@pytest.mark.parametrize(("is_there", "outcome"), [(True, "copy"), (False, "not_indexed")])
def test_what_the_second_opinion_did_is_counted(
    index: LocalIndex,
    second: SecondIndex,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_there: bool,
    outcome: str,
) -> None:
    monkeypatch.setattr(match_publisher, "_SECOND_SECONDS", 0.0)
    metrics = Metrics.create("search")
    begin_second_opinions(metrics)
    if is_there:
        add_c(second)
    announce(index, MemoryTransport(), second=second, metrics=metrics)
    value = metrics.registry.get_sample_value
    outcomes = {
        name: value("storyhash_second_opinions_total", {"outcome": name})
        for name in ("copy", "review", "unchanged", "not_indexed")
    }
    # Of `a` and `b` a copy was found without it.
    assert outcomes == dict.fromkeys(outcomes, 0) | {outcome: 1}
    count = "storyhash_second_opinion_duration_seconds_count"
    assert value(count, {"query": "indexed"}) == is_there
    assert value(count, {"query": "sent"}) == 0


def test_the_matches_of_new_videos_are_stored(index: LocalIndex) -> None:
    with opened_reviews() as reviews:
        told = announce(index, MemoryTransport(), reviews=reviews)
        stored, _, total = reviews.state.matches.page(MatchFilter(), None, 10)
    pairs = {(one.detail["query"]["video_id"], one.detail["ref_video_id"]) for one in stored}
    assert (total, pairs) == (2, {("a", "b"), ("b", "a")})
    assert told["a"]["matches"][0]["match_id"] in {one.id for one in stored}


def test_what_nobody_foresaw_costs_one_videos_match(
    index: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(answering: ServingIndex, video_id: str, *rest: Any) -> Any:
        if video_id == "a":
            raise ZeroDivisionError("nobody thought of it")
        return match_new_video(answering, video_id, *rest)

    monkeypatch.setattr("storyhash.services.streaming.match_publisher.match_new_video", fails)
    assert announce(index, MemoryTransport()).keys() == {"b", "c"}


def test_of_more_matches_than_a_message_holds_the_best_are_told(index: LocalIndex) -> None:
    feed(index, *video(np.random.default_rng(3), "d", 4), end("d", 4))
    roomy = MemoryTransport()
    whole = announce(index, roomy)["a"]
    assert whole["candidates"]
    (size,) = (len(one.value or b"") for one in roomy.scan(TOPIC) if one.key == b"a")
    index.staging.want_match("a", 1, "")
    told = announce(index, MemoryTransport(max_bytes=size - 1))["a"]
    # The candidates are left out first.
    assert told == {**whole, "candidates": []}
    size -= len(msgpack.packb(whole["candidates"])) - 1
    index.staging.want_match("a", 1, "")
    told = announce(index, MemoryTransport(max_bytes=size - 1))["a"]["matches"]
    assert 1 <= len(told) < len(whole["matches"])
    assert told == whole["matches"][: len(told)]


def test_a_video_whose_matching_kills_the_process_three_times_is_passed_over(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = tmp_path / "data"
    with open_index(folder) as opened:
        for name in "abc":
            feed(opened, *video(rng, name, 4), end(name, 4))

    def run() -> subprocess.CompletedProcess[str]:
        command = ["tests.support.crashing_matches", str(folder)]
        return preloaded.run(command, env=clean_environment({}), cwd=preloaded.ROOT)

    assert [run().returncode for _ in range(3)] == [-signal.SIGKILL] * 3
    fourth = run()
    assert fourth.returncode == 0, fourth.stderr
    assert fourth.stdout.strip() == "['b', 'c']"
    assert "this process crashed three times while matching it" in fourth.stderr
