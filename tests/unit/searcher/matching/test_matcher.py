"""Matching on hand-made films: directions on a sphere that change from shot to shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ModelMismatchError
from common.settings import SearcherSettings
from common.types import Float32Array, QueryEmbedding
from searcher.index.shard import Shard
from searcher.index.state import Filter, VideoSegments
from searcher.matching.alignment.alignment import align
from searcher.matching.alignment.run import Aligner, Run, Spans
from searcher.matching.indexed_query import indexed_query_pieces
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.report.match_json import report_to_json
from searcher.matching.scoring.calibration import Calibration, load_calibration
from searcher.matching.scoring.policy import Policies, Policy, default_policy, strongest
from searcher.storage.video import Video
from storyhash.profiles import PROFILES
from tests.support.embeddings import MODEL_ID
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.made_films import FPS, copied, edited, embeddings, film, mirrored, query


def only_piece(video: Video, segments: VideoSegments) -> QueryEmbedding:
    """A video of the index as a query of one piece."""
    ((piece, _),) = indexed_query_pieces(video, segments, MODEL_ID)
    return piece


@pytest.fixture
def films(rng: np.random.Generator) -> dict[str, Float32Array]:
    return {f"film-{number}": film(rng, 40) for number in range(12)}


@pytest.fixture
def matcher(films: Mapping[str, Float32Array]) -> Matcher:
    shard = Shard(SearcherSettings())
    for name, frames in films.items():
        shard.add(embeddings(name, frames))
    return make_matcher(shard)


def make_matcher(shard: Shard, aligner: Aligner = align, *, by_frames: bool = True) -> Matcher:
    calibration = fixed_calibration("offline")
    policies = Policies(default_policy(calibration))
    return Matcher(shard, MODEL_ID, calibration, policies, aligner, by_frames=by_frames)


def ranges(report: MatchReport, number: int = 0) -> list[float]:
    found = report.matches[number]
    return [
        found.query_start_seconds,
        found.query_end_seconds,
        found.ref_start_seconds,
        found.ref_end_seconds,
    ]


def test_a_whole_copy_is_found_whole(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    report = matcher.match(query(copied(rng, films["film-3"])))
    assert report.decision == "copy"
    assert report.matches[0].video_id == "film-3"
    assert ranges(report) == pytest.approx([0, 40, 0, 40], abs=1.5)
    assert report.matches[0].coverage > 0.95
    assert [
        d
        for m, d in zip(report.matches, report.decisions, strict=True)
        if m.video_id != "film-3" and d != "no_match"
    ] == []


def test_a_stranger_is_no_match(matcher: Matcher, rng: np.random.Generator) -> None:
    report = matcher.match(query(film(rng, 30)))
    assert report.decision == "no_match"
    assert report.matches == ()
    # The nearest videos are listed, each once.
    assert len({one.video_id for one in report.candidates}) == len(report.candidates) == 5
    assert report.probability == report.candidates[0].probability < 0.1


@pytest.mark.parametrize("start", [0.0, 7.0, 13.5, 30.0])
def test_an_excerpt_is_placed_in_its_film(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator, start: float
) -> None:
    excerpt = films["film-5"][int(start * FPS) : int((start + 10) * FPS)]
    report = matcher.match(query(copied(rng, excerpt)))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-5")
    assert ranges(report) == pytest.approx([0, 10, start, start + 10], abs=2.0)


@pytest.mark.parametrize("seconds", [40, 42, 43.5])
def test_a_copy_within_the_catalogue_is_one_match_over_its_whole_length(
    rng: np.random.Generator, seconds: float
) -> None:
    """Its windows are its segments: end to end, the last one shorter where the film ends so."""
    shard = Shard(SearcherSettings())
    frames = film(rng, seconds)
    shard.add(embeddings("original", frames))
    shard.add(embeddings("copy", copied(rng, frames)))
    shard.add(embeddings("stranger", film(rng, 40)))
    segments = shard.vectors_of("copy")
    asked = only_piece(Video("copy", "/films/copy"), segments)
    report = make_matcher(shard).match(asked, Filter(exclude_videos=frozenset({"copy"})))
    assert report.matches[0].video_id == "original"
    assert {match.video_id for match in report.matches} == {"original"}
    assert [one.video_id for one in report.candidates] == ["stranger"]
    assert ranges(report) == pytest.approx([0, seconds, 0, seconds], abs=0.1)
    assert report.matches[0].coverage == pytest.approx(1)


def test_half_a_film_within_the_catalogue_is_placed_in_both(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    frames = film(rng, 42)
    shard.add(embeddings("original", frames))
    shard.add(embeddings("half", np.concatenate([copied(rng, frames[:40]), film(rng, 18)])))
    segments = shard.vectors_of("half")
    asked = only_piece(Video("half", "/films/half"), segments)
    report = make_matcher(shard).match(asked, Filter(exclude_videos=frozenset({"half"})))
    assert (report.decision, report.matches[0].video_id) == ("copy", "original")
    assert ranges(report) == pytest.approx([0, 20, 0, 20], abs=2.5)


def test_frames_tell_where_a_part_of_a_film_lies_within_the_catalogue(
    rng: np.random.Generator,
) -> None:
    """Cut where neither has a segment that begins."""
    shard = Shard(SearcherSettings())
    frames = film(rng, 42)
    part = copied(rng, frames[int(9.5 * FPS) : int(24 * FPS)])
    shard.add(embeddings("original", frames))
    shard.add(embeddings("part", np.concatenate([film(rng, 7), part, film(rng, 10)])))
    report = make_matcher(shard).match_video(Video("part", "/films/part"))
    assert (report.decision, report.matches[0].video_id) == ("copy", "original")
    assert ranges(report) == pytest.approx([7, 21.5, 9.5, 24], abs=0.51)


def pair_at(windows: Spans, start: float) -> tuple[int, int, float]:
    """The first window from a time on, and the segment at this time."""
    return int(np.flatnonzero(windows.starts >= start)[0]), int((start + 1) / 4), 0.9


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([(0, 5), (0, 20)], [(0, 20)]),
        ([(0, 20), (0, 5)], [(0, 20)]),
        ([(0, 5), (10, 15), (0, 20)], [(0, 20)]),
        ([(0, 5), (4, 20)], [(0, 20)]),
    ],
)
def test_of_matches_of_one_video_the_one_that_says_all_of_another_is_told_and_the_better_decides(
    films: Mapping[str, Float32Array],
    given: list[tuple[float, float]],
    told: list[tuple[float, float]],
) -> None:
    shard = Shard(SearcherSettings())
    shard.add(embeddings("film", films["film-0"]))
    asked = query(films["film-0"])
    spans = Spans(asked.window_start_seconds, asked.window_end_seconds)
    runs = [
        Run(start, end, start, end, 0.9 - 0.01 * number, 1.0, (pair_at(spans, start),))
        for number, (start, end) in enumerate(given)
    ]
    report = make_matcher(shard, lambda *_: runs, by_frames=False).match(asked)
    found = [(one.query_start_seconds, one.query_end_seconds) for one in report.matches]
    assert sorted(found) == told
    assert max(one.score for one in report.matches) == 0.9


def test_moments_far_and_unevenly_apart_give_ranges_within_the_query(
    rng: np.random.Generator,
) -> None:
    # The second of four moments comes sooner than half the usual step after the first.
    starts = np.array([0.0, 1.0, 6.0, 11.0])
    windows = Spans(starts, starts + 0.5)
    segments = Spans(np.arange(0.0, 12.0, 4.0), np.arange(4.0, 16.0, 4.0))
    similarity = np.full((4, 3), 0.1, dtype=np.float32)
    similarity[1:, :] = 0.9
    for run in align(similarity, np.ones(4, dtype=bool), windows, segments, 0.1):
        assert 0 <= run.query_start_seconds < run.query_end_seconds <= 11.5


def test_an_insert_is_placed_in_the_query(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    host = film(rng, 40)
    host[30:46] = films["film-7"][20:36]
    report = matcher.match(query(copied(rng, host)))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-7")
    assert ranges(report) == pytest.approx([15, 23, 10, 18], abs=2.0)
    assert report.matches[0].coverage == pytest.approx(8 / 40, abs=0.06)


def test_a_compilation_gives_a_match_for_every_part(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    parts = [films["film-1"][:20], films["film-2"][40:60], films["film-9"][10:30]]
    report = matcher.match(query(copied(rng, np.concatenate(parts))))
    found = {
        match.video_id: match
        for match, decision in zip(report.matches, report.decisions, strict=True)
        if decision == "copy"
    }
    assert set(found) == {"film-1", "film-2", "film-9"}
    starts = [found[name].query_start_seconds for name in ("film-1", "film-2", "film-9")]
    assert starts == pytest.approx([0, 10, 20], abs=2.0)
    assert found["film-2"].ref_start_seconds == pytest.approx(20, abs=2.0)


def test_a_part_shown_twice_gives_two_matches(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    part, other = films["film-4"][16:32], film(rng, 12)
    report = matcher.match(query(copied(rng, np.concatenate([part, other, part]))))
    copies = [
        match
        for match, decision in zip(report.matches, report.decisions, strict=True)
        if decision == "copy"
    ]
    assert [match.video_id for match in copies] == ["film-4", "film-4"]
    assert sorted(match.query_start_seconds for match in copies) == pytest.approx([0, 20], abs=2.0)


def test_a_part_that_only_another_view_shows_is_told_beside_a_plain_one(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    source = films["film-4"]
    shown = np.concatenate([source[:40], mirrored(source[40:])])
    report = matcher.match(query(copied(rng, shown)))
    assert report.decisions == ("copy", "copy")
    assert {match.view for match in report.matches} == {"identity", "flip_h"}
    found = sorted(ranges(report, number) for number in range(2))
    assert found == [
        pytest.approx([0, 20, 0, 20], abs=1.5),
        pytest.approx([20, 40, 20, 40], abs=1.5),
    ]


def test_a_copy_within_the_picture_is_one_match_whichever_of_the_inner_pictures_it_is(
    films: Mapping[str, Float32Array], rng: np.random.Generator, matcher: Matcher
) -> None:
    """Where a second inner picture is steeper for a while, the first one has another name."""
    around, shown = query(film(rng, 20)), query(copied(rng, films["film-4"][:40]))
    early = shown.informative[0] & (shown.window_end_seconds <= 10.0)
    late = shown.informative[0] & (shown.window_start_seconds >= 10.0)
    names = ("identity", "inner", "inner_2")
    masks = np.stack([around.informative[0], early, late])
    vectors = np.stack([around.vectors[0], shown.vectors[0], shown.vectors[0]])
    report = matcher.match(
        replace(
            around,
            views=names,
            vectors=np.where(masks[:, :, None], vectors, np.float32(0)),
            informative=masks,
        )
    )
    (copy,) = (match for match, decision in report.judged if decision == "copy")
    assert copy.video_id == "film-4"
    assert (copy.query_start_seconds, copy.query_end_seconds) == pytest.approx((0, 20), abs=0.6)
    assert (copy.ref_start_seconds, copy.ref_end_seconds) == pytest.approx((0, 20), abs=0.6)


def test_a_part_that_a_better_one_outdoes_is_a_copy_all_the_same(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    source, other = films["film-4"], film(rng, 12)
    plain, changed = copied(rng, source[:24], 0.002), edited(rng, source[40:64], 0.66)
    alone = matcher.match(query(changed))
    both = matcher.match(query(np.concatenate([plain, other, changed])))
    assert alone.decision == "copy"
    found = [match.query_start_seconds for match in both.matches if match.video_id == "film-4"]
    assert sorted(found) == pytest.approx([0, 24], abs=1.5)
    assert both.decisions == ("copy", "copy")


def test_a_copy_is_found_through_the_view_that_undoes_its_edit(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    report = matcher.match(query(copied(rng, mirrored(films["film-8"]))))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-8")
    assert report.matches[0].view == "flip_h"


@pytest.mark.parametrize("tempo", [0.5, 0.8, 1.25, 2.0])
def test_a_copy_at_another_tempo_is_found_with_its_range(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator, tempo: float
) -> None:
    source = films["film-6"]
    at = (np.arange(int(len(source) / tempo)) * tempo).astype(int)
    report = matcher.match(query(copied(rng, source[at])))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-6")
    assert report.matches[0].evidence["tempo"] == pytest.approx(tempo, rel=0.26)
    assert ranges(report)[2:] == pytest.approx([0, 40], abs=4.0)


def test_a_film_shown_backwards_is_a_copy_of_all_of_it(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    report = matcher.match(query(copied(rng, films["film-6"][::-1])))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-6")
    assert report.matches[0].evidence["tempo"] == -1.0
    assert ranges(report) == pytest.approx([0, 40, 0, 40], abs=2.0)


def test_a_film_whose_scenes_were_shuffled_is_a_copy_and_its_range_says_no_more_than_is_known(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    source = films["film-6"][8:72]
    scenes = [source[start : start + 4] for start in range(0, len(source), 4)]
    rng.shuffle(scenes)
    report = matcher.match(query(copied(rng, np.concatenate(scenes))))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-6")
    shown = [match for match in report.matches if match.video_id == "film-6"]
    assert min(match.ref_start_seconds for match in shown) == pytest.approx(4, abs=4)
    assert max(match.ref_end_seconds for match in shown) == pytest.approx(36, abs=4)


def test_a_film_that_repeats_itself_is_matched_from_end_to_end(rng: np.random.Generator) -> None:
    loop = np.tile(film(rng, 3), (8, 1))
    repeating = copied(rng, loop)
    shard = Shard(SearcherSettings())
    shard.add(embeddings("juggling", repeating))
    report = make_matcher(shard).match(query(copied(rng, repeating)))
    assert report.matches[0].evidence["tempo"] == 1.0
    assert ranges(report) == pytest.approx([0, 24, 0, 24], abs=0.5)


def test_a_short_film_shown_again_and_again_has_no_order_in_time(rng: np.random.Generator) -> None:
    short = film(rng, 6)
    shard = Shard(SearcherSettings())
    shard.add(embeddings("loop", short))
    report = make_matcher(shard).match(query(copied(rng, np.tile(short, (5, 1)))))
    assert report.decision == "copy"
    assert ranges(report) == pytest.approx([0, 30, 0, 6], abs=0.5)
    assert report.matches[0].evidence["tempo"] is None


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0])
def test_a_query_shorter_than_a_segment_is_found(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator, seconds: float
) -> None:
    piece = films["film-2"][24 : 24 + int(seconds * FPS)]
    report = matcher.match(query(copied(rng, piece)))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-2")


def test_a_query_without_information_says_so(
    matcher: Matcher, films: Mapping[str, Float32Array]
) -> None:
    frames = films["film-0"]
    report = matcher.match(query(frames, usable=np.zeros(len(frames), dtype=bool)))
    assert (report.decision, report.matches) == ("no_match", ())
    assert report.reason == "no frame of the query shows anything to recognise"


def test_frames_without_information_do_not_hide_a_copy(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    frames = copied(rng, films["film-0"])
    usable = np.ones(len(frames), dtype=bool)
    usable[:16] = usable[-16:] = False
    report = matcher.match(query(frames, usable))
    assert (report.decision, report.matches[0].video_id) == ("copy", "film-0")
    assert ranges(report)[:2] == pytest.approx([8, 32], abs=2.5)


def test_an_intro_that_many_films_share_is_no_copy_of_any_of_them(rng: np.random.Generator) -> None:
    intro = film(rng, 6)
    shard = Shard(SearcherSettings())
    for number in range(12):
        shard.add(embeddings(f"episode-{number}", np.concatenate([intro, film(rng, 34)])))
    report = make_matcher(shard).match(query(copied(rng, np.concatenate([intro, film(rng, 24)]))))
    assert report.decision != "copy"
    best = report.candidates[0]
    assert best.evidence["document_frequency"] == 12
    assert [best.query_start_seconds, best.query_end_seconds] == pytest.approx([0, 6], abs=2.0)


def test_a_part_of_a_film_that_is_there_many_times_is_a_copy_all_the_same(
    rng: np.random.Generator,
) -> None:
    original = film(rng, 40)
    shard = Shard(SearcherSettings())
    for number in range(12):
        shard.add(embeddings(f"upload-{number}", copied(rng, original)))
    host = np.concatenate([original[16:28], film(rng, 24)])
    report = make_matcher(shard).match(query(copied(rng, host)))
    assert report.decision == "copy"
    assert report.matches[0].evidence["document_frequency"] == 1


def test_an_intro_alone_is_found_in_every_film_that_has_it(rng: np.random.Generator) -> None:
    intro = film(rng, 8)
    shard = Shard(SearcherSettings())
    for number in range(12):
        shard.add(embeddings(f"episode-{number}", np.concatenate([intro, film(rng, 32)])))
    report = make_matcher(shard).match(query(copied(rng, intro)))
    assert list(report.decisions).count("copy") == 12


def test_an_empty_index_has_no_match(rng: np.random.Generator) -> None:
    report = make_matcher(Shard(SearcherSettings())).match(query(film(rng, 10)))
    assert (report.decision, report.matches) == ("no_match", ())


def test_only_the_banks_asked_for_are_searched(
    films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    shard = Shard(SearcherSettings())
    shard.add(embeddings("here", films["film-0"], "news"))
    shard.add(embeddings("there", films["film-0"], "sport"))
    matcher = make_matcher(shard)
    asked = query(copied(rng, films["film-0"]))
    found = matcher.match(asked, Filter(banks=frozenset({"sport"}))).matches
    assert {match.video_id for match in found} == {"there"}
    found = matcher.match(asked, Filter(exclude_videos=frozenset({"there"}))).matches
    assert {match.video_id for match in found} == {"here"}


def test_a_query_of_another_model_is_refused(
    matcher: Matcher, films: Mapping[str, Float32Array]
) -> None:
    with pytest.raises(ModelMismatchError, match="another"):
        matcher.match(query(films["film-0"], model_id="another"))


def test_the_report_is_json_with_the_promised_fields(
    matcher: Matcher, films: Mapping[str, Float32Array], rng: np.random.Generator
) -> None:
    answer = report_to_json(
        matcher.match(query(copied(rng, films["film-3"]))), lambda name: f"/films/{name}"
    )
    assert list(answer) == [
        "schema_version", "query", "model_id", "decision", "matches", "candidates",
    ]  # fmt: skip
    assert answer["schema_version"] == 2
    listed = [*answer["matches"], *answer["candidates"]]
    for one in listed:
        ranges = {"range_confidence", "range_certain"}
        assert set(one) - ranges == {
            "video_id", "uri", "bank", "score", "probability", "search_view", "view",
            "query_start_seconds", "query_end_seconds", "ref_start_seconds", "ref_end_seconds",
            "coverage", "decision", "evidence",
        }  # fmt: skip
    assert [one["decision"] for one in listed] == ["copy", *["no_match"] * 5]
    assert "film-3" not in {one["video_id"] for one in answer["candidates"]}
    probabilities = [one["probability"] for one in listed]
    assert probabilities == sorted(probabilities, reverse=True)
    assert answer["matches"][0]["range_certain"]
    assert 0.9 < answer["matches"][0]["range_confidence"] <= 1
    evidence = answer["matches"][0]["evidence"]
    assert {"similarity", "view_price", "background_lift", "pairs", "calibration"} <= set(evidence)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_has_a_calibration_that_prices_its_views(profile: str) -> None:
    calibration = load_calibration(PROFILES[profile].visual)
    assert calibration.view_offset("identity") == 0.0
    assert all(price >= 0 for price, _ in calibration.views.values())
    policy = default_policy(calibration)
    assert policy.decide_probability(calibration.probability(1.0)) == "copy"
    assert policy.decide_probability(calibration.probability(0.0)) == "no_match"


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_probability_grows_with_the_score(one: float, other: float) -> None:
    calibration: Calibration = fixed_calibration("offline")
    low, high = sorted((one, other))
    assert 0 <= calibration.probability(low) <= calibration.probability(high) <= 1
    assert calibration.probability(calibration.midpoint) == pytest.approx(0.5)


def test_a_policy_is_checked_and_decides_at_its_bounds() -> None:
    policy = Policy(0.8, 0.3)
    assert [policy.decide_probability(p) for p in (0.8, 0.79, 0.3, 0.29)] == [
        "copy", "review", "review", "no_match",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="policy"):
        Policy(0.3, 0.8)
    assert strongest(["no_match", "review", "copy"]) == "copy"
    assert strongest([]) == "no_match"
