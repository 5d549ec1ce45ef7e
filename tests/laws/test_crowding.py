"""Matching in a catalogue with many copies, on synthetic videos: copies must not change other results."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.types import Float32Array
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.report.match_json import report_to_json
from searcher.matching.scoring.policy import Policies, default_policy
from tests.support.embeddings import MODEL_ID, unit_rows
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.made_films import MadeIndex, copied, edited, film, query

_SLOW = settings(
    deadline=None, max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck)
)


def matched(
    videos: Mapping[str, Float32Array],
    asked: Float32Array,
    backend: str = "offline",
    others: Float32Array | None = None,
) -> MatchReport:
    calibration = fixed_calibration(backend)
    index = MadeIndex(videos, others)
    matcher = Matcher(index, MODEL_ID, calibration, Policies(default_policy(calibration)))
    return matcher.match(query(asked))


def best(report: MatchReport) -> dict[str, float]:
    """The highest probability of each video."""
    found: dict[str, float] = {}
    for match, _ in report.judged:
        found[match.video_id] = max(match.probability, found.get(match.video_id, 0.0))
    return found


def copies(report: MatchReport) -> set[str]:
    return {
        match.video_id
        for match, decision in zip(report.matches, report.decisions, strict=True)
        if decision == "copy"
    }


@pytest.mark.parametrize("similarity", [0.95, 0.7])
def test_all_of_fifty_clips_of_a_compilation_are_found(
    rng: np.random.Generator, similarity: float
) -> None:
    films = {f"film-{number:02d}": film(rng, 16) for number in range(70)}
    clips = [edited(rng, frames[8:18], similarity) for frames in list(films.values())[:50]]
    report = matched(films, copied(rng, np.concatenate(clips)))
    clipped = {f"film-{number:02d}" for number in range(50)}
    assert copies(report) <= clipped
    # One of the more strongly edited clips may go to review.
    assert len(copies(report)) >= 49
    assert {name for name, probability in best(report).items() if probability > 0.75} == clipped


def test_the_other_half_is_found_beside_forty_uploads_of_the_first(
    rng: np.random.Generator,
) -> None:
    first, second = film(rng, 24), film(rng, 24)
    videos = {f"first-{number:02d}": copied(rng, first) for number in range(40)}
    videos["second"] = second
    videos |= {f"film-{number}": film(rng, 24) for number in range(20)}
    asked = np.concatenate([first[:24], edited(rng, second[:24], 0.7)])
    report = matched(videos, copied(rng, asked))
    assert copies(report) == {"second", *(f"first-{number:02d}" for number in range(40))}


def test_a_film_is_found_among_two_hundred_that_share_an_ident(rng: np.random.Generator) -> None:
    ident = film(rng, 8)
    bodies = [film(rng, 32) for _ in range(200)]
    videos = {
        f"film-{number:03d}": np.concatenate([copied(rng, ident), body])
        for number, body in enumerate(bodies)
    }
    asked = np.concatenate([ident, bodies[123][:32]])
    report = matched(
        videos,
        copied(rng, edited(rng, asked, 0.7)),
        others=unit_rows(rng, 20_000),
    )
    assert copies(report) == {"film-123"}
    shared = [one for one, _ in report.judged if one.evidence["document_frequency"] > 1]
    assert max(one.evidence["document_frequency"] for one in shared) >= 190


@pytest.mark.parametrize("backend", ["offline", "sscd"])
def test_uploads_that_are_less_alike_than_certain_are_no_non_matches_of_one_another(
    rng: np.random.Generator, backend: str
) -> None:
    original = film(rng, 24)
    films = {f"film-{number}": film(rng, 24) for number in range(30)}
    asked = copied(rng, original)
    uploads = {
        f"upload-{number:02d}": edited(rng, original, 0.7 if backend == "offline" else 0.55)
        for number in range(60)
    }
    alone = best(matched({**films, "upload-00": uploads["upload-00"]}, asked, backend))
    for count in (6, 60):
        some = dict(list(uploads.items())[:count])
        found = best(matched({**films, **some}, asked, backend))
        assert found["upload-00"] >= alone["upload-00"] - 0.01
        assert min(found.get(name, 0.0) for name in some) >= alone["upload-00"] - 0.1


@_SLOW
@given(
    seed=st.integers(0, 1000),
    similarity=st.sampled_from([0.45, 0.55, 0.7, 0.95]),
    copied_film=st.integers(0, 11),
    count=st.sampled_from([1, 3, 30]),
    backend=st.sampled_from(["offline", "sscd"]),
)
def test_copies_of_one_video_lower_no_probability_and_hide_no_match(
    seed: int, similarity: float, copied_film: int, count: int, backend: str
) -> None:
    """The same holds for non-matches. Film 0 is in the query, film 1 is a part of it, the others are not
    in it."""
    rng = np.random.default_rng(seed)
    films = {f"film-{number:02d}": film(rng, 16) for number in range(12)}
    whole = edited(rng, films["film-00"][:24], similarity)
    part = edited(rng, films["film-01"][8:20], similarity)
    asked = copied(rng, np.concatenate([whole, part]))
    before = best(matched(films, asked, backend))
    again = {f"again-{number:02d}": films[f"film-{copied_film:02d}"] for number in range(count)}
    after = best(matched({**films, **again}, asked, backend))
    for name, probability in before.items():
        if probability >= 0.01:
            assert after[name] >= probability - 1e-6, name


def test_what_a_bound_leaves_out_is_told(rng: np.random.Generator) -> None:
    clip = film(rng, 4)
    films = {f"film-{number:03d}": film(rng, 8) for number in range(320)}
    videos = {name: np.concatenate([copied(rng, clip), frames]) for name, frames in films.items()}
    report = matched(videos, copied(rng, clip))
    assert len({match.video_id for match in report.matches}) == 256
    assert report.truncated == "320 videos may match; the 256 most promising were compared"
    assert report_to_json(report, str)["truncated"] == report.truncated
    assert matched(films, copied(rng, clip)).truncated == ""
