"""Films over still pictures: the same in every run, of moving windows, embedded once."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import UsageError, VideoError
from common.settings import Settings
from common.types import UInt8Array
from embedder.stage import EmbedderStage
from evaluation.data.picture_features import PictureFeatureStore, film_features
from evaluation.data.picture_films import SEGMENTS, PictureFilm, picture_films
from storyhash.profiles import build_stage, resolve_profile
from tests.unit.searcher.transform.drawing import drawn

SIDE = 120


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three pictures, one of them in a subfolder, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.JPG", "more/c.webp")):
        cv2.imwrite(str(folder / name), drawn(number, 640, 400))
    (folder / "about.txt").write_text("licences")
    return folder


def shown(film: PictureFilm, *times: float) -> list[UInt8Array]:
    return [*film.at(times, SIDE, lambda: None)]


def test_every_picture_has_a_film_before_one_has_a_second(pictures: Path) -> None:
    films = [*islice(picture_films(pictures), 7)]
    names = [film.path.name for film in films]
    assert sorted(names[:3]) == ["a.png", "b.JPG", "c.webp"]
    assert names[3:] == [*names[:3], names[0]]
    assert len({film.video.family for film in films}) == 7
    assert films == [*islice(picture_films(pictures), 7)]


def test_a_window_moves_evenly_over_the_picture(pictures: Path) -> None:
    film = next(picture_films(pictures))
    first, middle, last = shown(film, 0.0, 16.0, 32.0)
    assert first.shape == middle.shape == last.shape
    assert min(first.shape[:2]) <= SIDE
    assert not np.array_equal(first, last)
    np.testing.assert_array_equal(shown(film, 16.0)[0], middle)
    np.testing.assert_array_equal(shown(film, 99.0)[0], last)
    # Another film of the same picture has another window.
    other = [*islice(picture_films(pictures), 4)][3]
    assert other.path == film.path
    assert not np.array_equal(shown(other, 0.0)[0], first)


def test_a_folder_without_pictures_and_a_small_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder of pictures"):
        picture_films(tmp_path)
    cv2.imwrite(str(tmp_path / "small.png"), drawn(1, 640, 200))
    with pytest.raises(VideoError, match="240 pixels"):
        shown(next(picture_films(tmp_path)), 0.0)


@pytest.fixture(scope="module")
def stage() -> EmbedderStage:
    return make()


def make() -> EmbedderStage:
    settings = Settings(profile="offline")
    return build_stage(resolve_profile(settings), settings)


def test_a_film_has_the_features_of_a_moving_video(pictures: Path, stage: EmbedderStage) -> None:
    features = film_features(stage, next(picture_films(pictures)))
    assert features.spans.tolist() == [[4.0 * n, 4.0 * n + 4.0] for n in range(SEGMENTS)]
    view = features.view("identity")
    np.testing.assert_allclose(np.linalg.norm(view.rows, axis=1), 1.0, rtol=1e-4)
    assert view.pts_seconds.tolist() == [2.0 * n + 1.0 for n in range(2 * SEGMENTS)]
    # Something moves, and neighbouring frames are more alike than the ends.
    assert np.abs(features.actions).max() > 0
    assert float(view.rows[0] @ view.rows[1]) > float(view.rows[0] @ view.rows[-1])


def test_films_are_embedded_once_and_a_larger_number_keeps_them(
    pictures: Path, tmp_path: Path, stage: EmbedderStage
) -> None:
    store = PictureFeatureStore(tmp_path / "cache", stage.model_id, pictures)
    extract = partial(store.extract, make=make, workers=1)
    with pytest.raises(UsageError, match="not extracted"):
        [*store.read(9)]
    assert sum(extract(9)) >= 9
    few = [*store.read(9)]
    assert [film.number for film, _ in few] == [0, 1]
    written = store.path(few[0][0]).stat().st_mtime_ns
    assert sum(extract(17)) >= 17
    assert store.path(few[0][0]).stat().st_mtime_ns == written
    many = [*store.read(17)]
    assert [film.number for film, _ in many] == [0, 1, 2]
    np.testing.assert_array_equal(many[1][1].view("identity").rows, few[1][1].view("identity").rows)


def test_a_film_that_shows_nothing_is_left_out(
    pictures: Path, tmp_path: Path, stage: EmbedderStage
) -> None:
    cv2.imwrite(str(pictures / "a.png"), np.full((400, 640, 3), 90, np.uint8))
    store = PictureFeatureStore(tmp_path / "cache", stage.model_id, pictures)
    assert sum(store.extract(9, make, workers=1)) >= 9
    assert [film.number for film, _ in store.read(9)] == [1, 2]


def test_an_unreadable_picture_is_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "a.png").write_bytes(b"no picture")
    store = PictureFeatureStore(tmp_path / "cache", "model", pictures)
    with pytest.raises(UsageError, match=r"a\.png cannot be used .* take it out of the folder"):
        [*store.extract(30, make, workers=1)]
