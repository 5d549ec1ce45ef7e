"""The evaluation verifies doubtful matches as the product does, with the pictures of the edits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from common.settings import VideoSettings
from common.types import UInt8Array
from common.video import encode_video
from evaluation.data.datasets import DatasetVideo
from evaluation.data.distractors import PREFIX
from evaluation.data.edits import EditedVideos
from evaluation.data.picture_films import PictureFilm
from evaluation.methods.verification import Verification
from evaluation.protocol import REAL, Dataset, Query
from ingest.source_pictures import pictures_of
from searcher.matching.report.match_report import MatchReport
from tests.unit.searcher.transform.drawing import HEIGHT, WIDTH, drawn
from tests.unit.searcher.transform.test_finder import POLICIES, match

RATE, SECONDS = 8.0, 6.0


def film(folder: Path, seed: int) -> DatasetVideo:
    """A picture that moves slowly to the left."""
    whole = drawn(seed, WIDTH + 64)
    path = folder / f"{seed}.mp4"
    encode_video(
        path,
        (
            np.ascontiguousarray(whole[:HEIGHT, step : step + WIDTH])
            for step in range(int(RATE * SECONDS))
        ),
        RATE,
    )
    return DatasetVideo(path.name, str(path), path.name)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[DatasetVideo]:
    folder = tmp_path_factory.mktemp("films")
    return [film(folder, seed) for seed in (1, 2)]


def verification_of(films: list[DatasetVideo], folder: Path) -> Verification:
    edits = EditedVideos(folder, films, VideoSettings())
    return Verification(Dataset.of(films), edits, VideoSettings())


def verified(
    films: list[DatasetVideo],
    folder: Path,
    name: str,
    transform: str,
    group: str = "paper",
    verification: Verification | None = None,
) -> MatchReport:
    """The report of an edit of the first film with one doubtful candidate, after verification."""

    def load() -> None:
        raise AssertionError("only pictures are read")

    query = Query(films[0], transform, group, 0, load)  # type: ignore[arg-type]
    doubtful = replace(
        match(name, probability=0.05),
        query_start_seconds=1.0,
        query_end_seconds=5.0,
        ref_start_seconds=1.0,
        ref_end_seconds=5.0,
    )
    candidate = MatchReport(films[0].uri, SECONDS, "m", (), ()).with_matches([doubtful], POLICIES)
    assert candidate.decision == "no_match"
    verification = verification or verification_of(films, folder)
    return verification.verified(query, POLICIES, candidate)


def test_an_edit_is_made_once_and_found_in_its_original(
    films: list[DatasetVideo], tmp_path: Path
) -> None:
    report = verified(films, tmp_path, "1.mp4", "flip_h")
    assert report.decision == "copy"
    (made,) = tmp_path.rglob("*.mp4")
    written = made.stat().st_mtime_ns
    assert verified(films, tmp_path, "1.mp4", "flip_h") == report
    assert made.stat().st_mtime_ns == written


def test_it_is_not_found_in_another_film(films: list[DatasetVideo], tmp_path: Path) -> None:
    report = verified(films, tmp_path, "2.mp4", "flip_h")
    assert report.decision == "no_match"
    assert report.probability < 0.05


def test_an_unedited_video_is_its_own_file(films: list[DatasetVideo], tmp_path: Path) -> None:
    assert verified(films, tmp_path, "1.mp4", "copy", REAL).decision == "copy"
    assert not list(tmp_path.iterdir())


def test_a_distractor_of_vectors_has_no_pictures(films: list[DatasetVideo], tmp_path: Path) -> None:
    report = verified(films, tmp_path, f"{PREFIX}7", "flip_h")
    assert report.probability == 0.05


def test_a_film_over_a_picture_is_compared(films: list[DatasetVideo], tmp_path: Path) -> None:
    picture = tmp_path / "other.png"
    cv2.imwrite(str(picture), drawn(3, 640, 400))
    film = PictureFilm(7, picture)
    one = verification_of(films, tmp_path)
    one.add(film.video.video_id, film)
    report = verified(films, tmp_path, film.video.video_id, "flip_h", verification=one)
    assert report.decision == "no_match"
    assert report.probability < 0.05


def test_pictures_are_read_once_for_all_reports_of_a_query(
    films: list[DatasetVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path, *arguments: Any, **named: Any) -> Iterator[UInt8Array]:
        read.append(path.name)
        return pictures_of(path, *arguments, **named)

    monkeypatch.setattr("evaluation.methods.verification.pictures_of", counted)
    one = verification_of(films, tmp_path)
    first = verified(films, tmp_path, "1.mp4", "flip_h", verification=one)
    assert (first.decision, len(read)) == ("copy", 2)
    assert verified(films, tmp_path, "1.mp4", "flip_h", verification=one) == first
    other = verified(films, tmp_path, "2.mp4", "flip_h", verification=one)
    assert (other, read[2:]) == (verified(films, tmp_path, "2.mp4", "flip_h"), ["2.mp4"])
    verified(films, tmp_path, "1.mp4", "flip_v", verification=one)
    assert len(read) > 5
