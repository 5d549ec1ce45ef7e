"""A growing folder: a video is given once it is finished, once, and again when it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from ingest.first_bytes import Kind, kind_of_file
from ingest.folder_watch import FolderWatch
from tests.conftest import quadrants
from tests.support.clock import Clock

QUIET_SECONDS = 5.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def look(tmp_path: Path, clock: Clock) -> Callable[[float], list[str]]:
    """Look at the folder when so many seconds have passed; the ids of what is given."""
    watch = FolderWatch(tmp_path, QUIET_SECONDS, clock=clock)

    def look(after_seconds: float) -> list[str]:
        clock.now += after_seconds
        return [one.entry.video_id for one in watch.look()]

    return look


Look = Callable[[float], list[str]]


def test_a_video_is_given_once_when_it_has_been_quiet_for_a_while(
    tmp_path: Path, look: Look
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").write_bytes(b"a film")
    (tmp_path / "notes.txt").write_text("no film")
    assert look(0) == []
    assert look(QUIET_SECONDS - 1) == []
    assert look(1) == ["sub/a.mp4"]
    assert look(QUIET_SECONDS) == []


def test_what_is_given_is_named_as_index_names_it(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a film")
    watch = FolderWatch(tmp_path, 0.0, "news", clock)
    (listed,) = watch.look()
    assert (listed.entry.video_id, listed.entry.bank) == ("a.mp4", "news")
    assert (listed.entry.uri, listed.root) == (str(tmp_path / "a.mp4"), str(tmp_path))


def test_a_file_that_grows_is_not_finished_whatever_its_time_of_change_says(
    tmp_path: Path, look: Look
) -> None:
    film = tmp_path / "a.mp4"
    for size in (10, 20, 30):
        film.write_bytes(bytes(size))
        # As tools do that keep the time of the original.
        os.utime(film, (1e9, 1e9))
        assert look(QUIET_SECONDS) == []
    assert look(QUIET_SECONDS) == ["a.mp4"]


def test_a_file_that_changes_is_given_again_once_it_is_quiet(tmp_path: Path, look: Look) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(b"first")
    assert look(0) == []
    assert look(QUIET_SECONDS) == ["a.mp4"]
    film.write_bytes(b"second, longer")
    assert look(QUIET_SECONDS) == []
    assert look(QUIET_SECONDS) == ["a.mp4"]


@pytest.mark.parametrize(
    "name", [".a.mp4", "a.mp4.part", "a.part.mp4", "a.mp4.crdownload", "a.TMP.mp4", "~a.mp4.tmp"]
)
def test_names_of_unfinished_files_are_passed_over(tmp_path: Path, look: Look, name: str) -> None:
    (tmp_path / name).write_bytes(b"half")
    (tmp_path / "whole.mp4").write_bytes(b"whole")
    assert look(0) == []
    assert look(QUIET_SECONDS) == ["whole.mp4"]


def test_a_part_of_a_title_is_no_part_of_a_file(tmp_path: Path, look: Look) -> None:
    (tmp_path / "Dune.Part.Two.mp4").write_bytes(b"a film")
    assert look(0) == []
    assert look(QUIET_SECONDS) == ["Dune.Part.Two.mp4"]


@pytest.mark.parametrize("suffix", [".aria2", ".part"])
def test_a_file_beside_it_says_that_a_film_is_still_coming(
    tmp_path: Path, look: Look, suffix: str
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a film, written out of order")
    beside = tmp_path / f"a.mp4{suffix}"
    beside.write_bytes(b"what is missing")
    assert look(0) == []
    assert look(QUIET_SECONDS) == []
    beside.unlink()
    assert look(0) == ["a.mp4"]


def test_an_empty_file_is_still_to_be_written(tmp_path: Path, look: Look) -> None:
    film = tmp_path / "a.mp4"
    film.touch()
    assert look(0) == []
    assert look(QUIET_SECONDS) == []
    film.write_bytes(b"a film")
    assert look(0) == []
    assert look(QUIET_SECONDS) == ["a.mp4"]


def test_a_folder_of_pictures_is_one_video_when_its_last_picture_is_there(
    tmp_path: Path, look: Look
) -> None:
    (tmp_path / "bear").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "bear" / f"{number:05}.png"), quadrants())
        assert look(QUIET_SECONDS) == []
    assert look(QUIET_SECONDS) == ["bear"]


def test_a_folder_that_is_away_for_a_while_gives_nothing_twice(
    tmp_path: Path, clock: Clock
) -> None:
    folder, away = tmp_path / "films", tmp_path / "away"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"a film")
    watch = FolderWatch(folder, 0.0, clock=clock)
    assert len(watch.look()) == 1
    folder.rename(away)
    with pytest.raises(FileNotFoundError):
        watch.look()
    away.rename(folder)
    (folder / "b.mp4").write_bytes(b"another film")
    assert [one.entry.video_id for one in watch.look()] == ["b.mp4"]


def test_what_cannot_be_read_in_it_is_told_once_and_stops_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "film.mp4").write_bytes(b"a film")
    (tmp_path / "caf\udce9.mp4").write_bytes(b"a film")
    watch = FolderWatch(tmp_path, 0.0, clock=clock)
    scandir = os.scandir
    locked = {str(tmp_path / "a")}

    def refuse(path: str) -> object:
        if path in locked:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [one.entry.video_id for one in watch.look()] == ["b/film.mp4"]
    assert sorted(Path(one.path).name for one in watch.new_problems) == ["a", "caf\udce9.mp4"]
    assert watch.look() == []
    assert watch.new_problems == []
    locked.clear()
    assert [one.entry.video_id for one in watch.look()] == ["a/film.mp4"]


def test_a_file_is_looked_into_once_until_it_changes(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counted(path: str) -> Kind:
        opened.append(Path(path).name)
        return kind_of_file(path)

    monkeypatch.setattr("ingest.folder_watch.kind_of_file", counted)
    script, unnamed = tmp_path / "player.ts", tmp_path / "download"
    script.write_text("export {}\n")
    unnamed.write_bytes(bytes(100))
    watch = FolderWatch(tmp_path, 0.0, clock=clock)
    for _ in range(3):
        assert watch.look() == []
    assert sorted(opened) == ["download", "player.ts"]
    unnamed.write_bytes(b"\x1aE\xdf\xa3" + bytes(200))
    assert [one.entry.video_id for one in watch.look()] == ["download"]
    assert opened.count("player.ts") == 1


def test_a_look_at_many_finished_films_costs_one_question_each(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2000
    for number in range(count):
        (tmp_path / f"{number}.mp4").write_bytes(b"a film")
    watch = FolderWatch(tmp_path, 0.0, clock=clock)
    assert len(watch.look()) == count
    asked = 0
    stat = os.stat

    def counted(path: str, **options: Any) -> os.stat_result:
        nonlocal asked
        asked += 1
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", counted)
    assert watch.look() == []
    assert asked <= count + 10
