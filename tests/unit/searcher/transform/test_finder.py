"""Which matches get a transform, what is read for it, and why nothing is said."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from common.errors import StorageError, VideoError
from common.resize import shrink_to
from common.thumbnails import Thumbnail
from common.types import Match, UInt8Array
from searcher.matching.report.match_json import report_to_json
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Policies, Policy
from searcher.transform.finder import MOST_COMPARED, MOST_IMPROBABLE, TransformFinder
from searcher.transform.keypoints import Keypoints
from searcher.transform.pictures import (
    QUERY_SIDES,
    REFERENCE_SIDE,
    PictureKind,
    Pictures,
    References,
    StoredThumbnails,
    times_of,
)
from tests.unit.searcher.transform.drawing import drawn


@dataclass
class Still:
    """Pictures of a video that shows one picture; notes what is asked for."""

    picture: UInt8Array
    asked: list[float] = field(default_factory=list)
    error: Exception | None = None
    kind: PictureKind = "file"
    sides: set[int] = field(default_factory=set)

    def at(
        self, times: Sequence[float], side: int, check: Callable[[], None]
    ) -> Iterator[UInt8Array]:
        self.sides.add(side)
        for seconds in times:
            check()
            self.asked.append(seconds)
            if self.error is not None:
                raise self.error
            yield self.picture


# Each video has its id as its URI, and no thumbnails.
FILES = References(str)


class Files:
    """Videos by URI."""

    def __init__(self, **files: Still) -> None:
        self.files = files

    def of_uri(self, uri: str) -> Pictures | None:
        return self.files.get(uri)


class Thumbnails:
    """Thumbnails of videos by id, and their pictures."""

    def __init__(self, **stored: Still) -> None:
        self.stored = stored

    def of(self, video_id: str) -> "Stored | None":
        return Stored(self.stored[video_id]) if video_id in self.stored else None

    def of_thumbnails(self, thumbnails: StoredThumbnails) -> Pictures:
        assert isinstance(thumbnails, Stored)
        return replace(thumbnails.pictures, kind="thumbnails")


@dataclass
class Stored:
    """The thumbnails of one video."""

    pictures: Still

    def nearest(self, times: Sequence[float]) -> Sequence[Thumbnail]:
        raise NotImplementedError


POLICIES = Policies(Policy(copy_probability=0.75, review_probability=0.1))


def match(
    video_id: str, tempo: float | None = 1.0, *, probability: float = 0.99, **evidence: Any
) -> Match:
    return Match(
        *(video_id, "default", 10.0, 14.0, 2.0, 6.0),
        *(0.9, probability, "identity", 0.5),
        evidence={"tempo": tempo, **evidence},
    )


def report(*matches: Match) -> MatchReport:
    return MatchReport("q.mp4", 20.0, "model", (), ()).with_matches(matches, POLICIES)


def transform_of(
    finder: TransformFinder, query: Pictures | None, *matches: Match
) -> dict[str, Any]:
    found = finder.add_to(report(*matches), query, FILES, POLICIES).matches[-1].transform
    assert found is not None
    return dict(found)


def test_a_copy_gets_the_transform_of_its_pictures() -> None:
    query, film = Still(drawn(1)[:, ::-1].copy()), Still(drawn(1))
    found = transform_of(TransformFinder(Files(film=film), 60.0), query, match("film", tempo=1.1))
    assert found["words"] == "mirrored, at about 1.1 x speed"
    assert found["confidence"] > 0.99
    assert 10.0 < min(query.asked) < max(query.asked) < 14.0
    assert film.asked == sorted(set(film.asked))
    assert 1.5 < min(film.asked) < max(film.asked) < 6.5
    assert (query.sides, film.sides) == ({QUERY_SIDES["file"]}, {REFERENCE_SIDE})


def test_nothing_is_read_without_a_match() -> None:
    query, film = Still(drawn(1)), Still(drawn(1))
    given = report(match("film", probability=0.0001))
    assert TransformFinder(Files(film=film), 60.0).add_to(given, query, FILES, POLICIES) == given
    assert not query.asked
    assert not film.asked


@pytest.mark.parametrize(
    ("query", "film", "seconds", "reason"),
    [
        (
            *(None, Still(drawn(1)), 60.0),
            "the query's file is not on this machine, and it has no thumbnails",
        ),
        (
            *(Still(drawn(1)), None, 60.0),
            "the reference's file is not on this machine, and it has no thumbnails",
        ),
        (Still(drawn(1)), Still(drawn(2)), 60.0, "no transform of the picture is certain"),
        (
            Still(drawn(1)),
            Still(drawn(1), error=VideoError("bad")),
            60.0,
            "the pictures cannot be read",
        ),
        (Still(drawn(1)), Still(drawn(1)), 0.0, "pictures are not compared"),
    ],
)
def test_the_reason_is_given_where_nothing_is_said_of_the_picture(
    query: Still | None, film: Still | None, seconds: float, reason: str
) -> None:
    files = Files() if film is None else Files(film=film)
    found = transform_of(TransformFinder(files, seconds), query, match("film", tempo=0.8))
    assert found["not_compared"].startswith(reason)
    assert found["words"] == "at about 0.8 x speed"
    assert "mirrored" not in found


def test_the_time_of_a_query_is_bounded() -> None:
    now = iter(range(1000))
    finder = TransformFinder(Files(film=Still(drawn(1))), 2.0, lambda: float(next(now)))
    found = transform_of(finder, Still(drawn(1)), match("film"))
    assert found["not_compared"].startswith("there was not enough time")


def test_only_the_best_matches_are_compared() -> None:
    film = Still(drawn(1))
    matches = [match("film")] * (MOST_COMPARED + 1)
    finder = TransformFinder(Files(film=film), 600.0)
    found = finder.add_to(report(*matches), Still(drawn(1)), FILES, POLICIES).matches
    compared = ["mirrored" in (one.transform or {}) for one in found]
    assert compared == [True] * MOST_COMPARED + [False]


def test_what_pictures_may_decide_is_compared_before_what_is_certain_and_improbable_last() -> None:
    probabilities = {"certain": 0.999, "doubtful": 0.4, "improbable": 0.005}
    order: list[str] = []

    @dataclass
    class Named(Still):
        name: str = ""

        def at(
            self, times: Sequence[float], side: int, check: Callable[[], None]
        ) -> Iterator[UInt8Array]:
            order.append(self.name)
            return super().at(times, side, check)

    films = {name: Named(drawn(2), name=name) for name in probabilities}
    matches = [match(name, probability=value) for name, value in probabilities.items()]
    finder = TransformFinder(Files(**films), 600.0)
    found = finder.add_to(report(*matches), Still(drawn(1)), FILES, POLICIES)
    assert list(dict.fromkeys(order)) == ["doubtful", "certain", "improbable"]
    assert next(run.video_id for run, _ in found.judged) == "certain"


def test_an_improbable_match_whose_pictures_agree_goes_to_review_at_least() -> None:
    film = Still(drawn(1))
    found = TransformFinder(Files(film=film), 60.0).add_to(
        report(match("film", probability=0.0006)), film, FILES, POLICIES
    )
    assert found.decision == "review"
    assert found.matches[0].evidence["verification"]["outcome"] == "confirmed"


def test_of_improbable_matches_the_best_are_compared_at_their_first_guesses() -> None:
    films = {f"film{number}": Still(drawn(2)) for number in range(5)}
    matches = [match(name, probability=0.005 - 0.001 * number) for number, name in enumerate(films)]
    finder = TransformFinder(Files(**films), 600.0)
    found = finder.add_to(report(*matches), Still(drawn(1)), FILES, POLICIES)
    compared = {run.video_id for run, _ in found.judged if "verification" in run.evidence}
    assert compared == {"film0", "film1", "film2"}
    assert len(compared) == MOST_IMPROBABLE
    assert [len(film.asked) for film in films.values()] == [3, 3, 3, 0, 0]


def test_every_match_to_review_gets_a_transform_however_improbable_it_is() -> None:
    policies = Policies(Policy(copy_probability=0.75, review_probability=0.001))
    matches = [match(f"film{number}", probability=0.005) for number in range(5)]
    given = report(*matches).with_matches(matches, policies)
    found = TransformFinder(Files(), 60.0).add_to(given, None, FILES, policies)
    assert [one.transform is not None for one in found.matches] == [True] * 5


def test_a_match_that_runs_backwards_is_read_backwards() -> None:
    places = [one.reference_seconds[0] for one in times_of(match("film", tempo=-1.0))]
    assert places == sorted(places, reverse=True)


def test_without_an_order_in_time_the_most_similar_segments_are_read() -> None:
    pairs = [
        {"query_start_seconds": at, "query_end_seconds": at + 4.0, "similarity": 0.5 + at / 100,
         "segment_id": f"a@b@{1000 * (20 - at)}-{1000 * (24 - at)}"}
        for at in (0, 4, 8, 12)
    ]  # fmt: skip
    times = times_of(match("film", tempo=None, pairs=pairs))
    assert [one.query_seconds for one in times] == [6.0, 10.0, 14.0]
    for one, start in zip(times, (16, 12, 8), strict=True):
        assert one.reference_seconds[0] == pytest.approx(start + 2)
        assert all(start < guess < start + 4 for guess in one.reference_seconds)


def test_a_doubtful_candidate_whose_pictures_fit_becomes_a_copy() -> None:
    film = Still(drawn(1))
    weak = match("film", probability=0.05)
    assert report(weak).decision == "no_match"
    found = TransformFinder(Files(film=film), 60.0).add_to(report(weak), film, FILES, POLICIES)
    assert found.decision == "copy"
    assert found.matches[0].transform is not None


def test_a_copy_with_hardly_any_light_is_recognised_by_its_pictures(
    rng: np.random.Generator,
) -> None:
    faint = (drawn(1) * 0.5 + 45).astype(np.uint8)
    noisy = faint * 0.16 + rng.normal(0, 1.5, faint.shape)
    film, night = Still(faint), Still(np.clip(noisy, 0, 255).astype(np.uint8))
    weak = match("film", probability=0.05)
    found = TransformFinder(Files(film=film), 60.0).add_to(report(weak), night, FILES, POLICIES)
    verification = found.matches[0].evidence["verification"]
    assert verification["outcome"] == "confirmed"
    assert verification["agreement"] > 0.8


def test_a_doubtful_copy_whose_pictures_differ_goes_to_review() -> None:
    doubtful = match("film", probability=0.8)
    assert report(doubtful).decision == "copy"
    finder = TransformFinder(Files(film=Still(drawn(2))), 60.0)
    found = finder.add_to(report(doubtful), Still(drawn(1)), FILES, POLICIES)
    assert found.decision == "review"


def test_a_candidate_that_is_no_copy_is_told_without_an_edit() -> None:
    files = Files(film=Still(drawn(1)), other=Still(drawn(2)))
    given = report(match("film", tempo=0.5), match("other", tempo=None, probability=0.05))
    found = TransformFinder(files, 60.0).add_to(given, Still(drawn(1)), FILES, POLICIES)
    answer = report_to_json(found, str)
    assert [one["transform"]["words"] for one in answer["matches"]] == ["at about 0.5 x speed"]
    (candidate,) = answer["candidates"]
    assert (candidate["decision"], "transform" in candidate) == ("no_match", False)


def with_thumbnails(files: Files, thumbnails: Thumbnails, query: Still, given: Match) -> Match:
    """The match after its pictures were compared."""
    finder = TransformFinder(files, 60.0, thumbnails=thumbnails)
    found = finder.add_to(report(given), query, References(str, thumbnails.of), POLICIES)
    return found.judged[0][0]


def test_a_reference_without_a_file_is_compared_by_its_thumbnails() -> None:
    film, other = Still(shrink_to(drawn(1), 96)), Still(shrink_to(drawn(2), 96))
    doubtful, query = match("film", probability=0.3), Still(drawn(1))
    copy = with_thumbnails(Files(), Thumbnails(film=film), query, doubtful)
    assert copy.evidence["verification"]["outcome"] == "confirmed"
    assert copy.evidence["verification"]["pictures"] == "thumbnails"
    assert copy.probability > 0.9
    none = with_thumbnails(Files(), Thumbnails(film=other), query, doubtful)
    assert none.evidence["verification"]["outcome"] == "not_confirmed"
    assert none.probability < 0.3


def test_a_file_is_preferred_to_thumbnails() -> None:
    film, thumbnails = Still(drawn(1)), Thumbnails(film=Still(drawn(2)))
    found = with_thumbnails(Files(film=film), thumbnails, Still(drawn(1)), match("film"))
    assert found.evidence["verification"]["pictures"] == "file"
    assert found.evidence["verification"]["outcome"] == "confirmed"
    assert not thumbnails.stored["film"].asked


@pytest.mark.parametrize("files", [Files(), Files(film=Still(drawn(1)))])
def test_a_query_without_a_file_is_compared_by_its_thumbnails(files: Files) -> None:
    small = Still(shrink_to(drawn(1), 96))
    thumbnails = Thumbnails(query=small, film=small)
    finder = TransformFinder(files, 60.0, thumbnails=thumbnails)
    query = finder.of_video("query", References(str, thumbnails.of))
    given = report(match("film", probability=0.3))
    found = finder.add_to(given, query, References(str, thumbnails.of), POLICIES)
    verification = found.matches[0].evidence["verification"]
    assert (verification["outcome"], verification["pictures"]) == ("confirmed", "thumbnails")
    assert found.decision == "copy"
    assert small.sides == {REFERENCE_SIDE}


def test_a_video_is_opened_by_its_file_if_it_is_here() -> None:
    film, small = Still(drawn(1)), Still(drawn(2))
    thumbnails = Thumbnails(film=small, moved=small)
    references = References(str, thumbnails.of)
    finder = TransformFinder(Files(film=film), 60.0, thumbnails=thumbnails)
    assert finder.of_video("film", references) is film
    opened = finder.of_video("moved", references)
    assert opened is not None
    assert opened.kind == "thumbnails"
    assert finder.of_video("other", references) is None
    assert TransformFinder(Files(), 60.0).of_video("film", references) is None


@pytest.mark.parametrize("error", [StorageError("gone"), VideoError("damaged")])
def test_thumbnails_that_cannot_be_read_change_nothing(error: Exception) -> None:
    doubtful = match("film", probability=0.3)
    torn = Thumbnails(film=Still(drawn(1), error=error))
    found = with_thumbnails(Files(), torn, Still(drawn(1)), doubtful)
    assert found.probability == 0.3
    assert found.transform is not None
    assert found.transform["not_compared"] == "the pictures cannot be read"


def test_a_match_that_cannot_be_compared_keeps_its_decision() -> None:
    for probability in (0.05, 0.3, 0.8):
        before = report(match("film", probability=probability))
        after = TransformFinder(Files(), 60.0).add_to(before, Still(drawn(1)), FILES, POLICIES)
        assert after.decision == before.decision


def test_a_doubtful_match_without_a_moment_to_compare_keeps_its_probability() -> None:
    doubtful = match("film", None, probability=0.3, pairs=[])
    film = Still(drawn(2))
    finder = TransformFinder(Files(film=film), 60.0)
    (found,) = finder.add_to(report(doubtful), Still(drawn(1)), FILES, POLICIES).matches
    assert found.probability == 0.3
    assert "verification" not in found.evidence
    assert found.transform is not None
    assert found.transform["not_compared"].startswith("no moment of it is known")


def test_two_matches_of_one_video_read_each_moment_and_describe_each_picture_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described: list[int] = []
    of_colour = Keypoints.of_colour

    def counted(picture: UInt8Array) -> Keypoints:
        described.append(id(picture))
        return of_colour(picture)

    monkeypatch.setattr(Keypoints, "of_colour", counted)
    query, film = Still(drawn(1)), Still(drawn(1))
    finder = TransformFinder(Files(film=film), 60.0)
    twice = finder.add_to(report(match("film"), match("film")), query, FILES, POLICIES).matches
    assert all("mirrored" in (one.transform or {}) for one in twice)
    assert query.asked == sorted(set(query.asked))
    assert film.asked == sorted(set(film.asked))
    # The two drawings are two objects, and show the same.
    assert len(described) == 2


def test_a_moment_that_cannot_be_read_concerns_only_its_match() -> None:
    class Torn(Still):
        def at(self, times: Sequence[float], *more: Any) -> Iterator[UInt8Array]:
            if max(times) > 50:
                raise VideoError("torn")
            yield from super().at(times, *more)

    late = replace(match("film"), ref_start_seconds=60.0, ref_end_seconds=64.0)
    finder = TransformFinder(Files(film=Torn(drawn(1))), 60.0)
    given = report(match("film"), late)
    first, second = finder.add_to(given, Still(drawn(1)), FILES, POLICIES).matches
    assert first.transform is not None
    assert first.transform["words"] == "unchanged"
    assert second.transform is not None
    assert second.transform["not_compared"] == "the pictures cannot be read"
