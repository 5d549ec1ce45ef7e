"""One odd or unreadable thing in a folder hides nothing else, and what is passed over is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from ingest.catalogue import list_catalog, read_catalog
from ingest.frame_folders import is_frame_sequence
from ingest.video_discovery import scan_folder

TS_PACKETS = (b"G" + bytes(187)) * 20


def put(path: Path, content: bytes = b"a film") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return [str(Path(video.path).relative_to(folder)) for video in scan_folder(folder).videos]


def test_pictures_beside_folders_of_films_hide_no_film(tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / f"backdrop{number}.jpg")
        put(tmp_path / f"film {number}" / "film.mp4")
    assert names(tmp_path) == ["film 1/film.mp4", "film 2/film.mp4"]
    assert scan_folder(tmp_path).passed_over.counts[".jpg", "a picture"] == 2


def test_even_a_true_sequence_of_frames_hides_no_film_below_it(tmp_path: Path) -> None:
    for number in range(40):
        put(tmp_path / f"{number:05}.png")
    put(tmp_path / "notes" / "deep" / "a.mp4")
    assert names(tmp_path) == ["notes/deep/a.mp4"]
    (tmp_path / "notes" / "deep" / "a.mp4").unlink()
    assert names(tmp_path) == ["."]


@pytest.mark.parametrize(
    ("pictures", "is_video"),
    [
        ([f"{n:05}.jpg" for n in range(2)], True),
        ([f"shot_{n:04}.png" for n in range(3)], True),
        ([f"{n}.png" for n in range(1, 40)], True),
        ([f"{n:04}.jpg" for n in range(0, 500, 5)], True),
        ([f"{n:04}.jpg" for n in range(50) if n not in (7, 8)] + ["cover.jpg"], True),
        (["backdrop1.jpg", "backdrop2.jpg"], False),
        ([f"fanart{n}.jpg" for n in range(1, 9)], False),
        (["IMG_0003.jpg", "IMG_0190.jpg", "IMG_0201.jpg"], False),
        ([f"{stem}_{n:04}.jpg" for n in range(9) for stem in ("left", "right")], False),
        (["0001.jpg"], False),
        (["a.jpg", "b.jpg"], False),
        ([], False),
    ],
)
def test_frames_are_numbered_one_after_another_behind_one_stem(
    pictures: list[str], is_video: bool
) -> None:
    assert is_frame_sequence(pictures) == is_video


def test_a_folder_that_cannot_be_read_is_told_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / name / "film.mp4")
    # Tests may run as root, whom no permission stops.
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    scan = scan_folder(tmp_path)
    assert [video.path for video in scan.videos] == [f"{tmp_path}/{n}/film.mp4" for n in "ac"]
    (problem,) = scan.problems
    assert (problem.path, problem.code) == (f"{tmp_path}/b", "unreadable")
    listing = list_catalog([str(tmp_path)])
    assert [one.video_id for one in listing.refused] == ["b"]
    assert len(listing.videos) == 2


def test_names_that_are_no_utf_8_are_told_in_printable_form_and_hide_no_other(
    tmp_path: Path,
) -> None:
    put(tmp_path / "good.mp4")
    put(tmp_path / "caf\udce9.mp4")
    put(tmp_path / "d\udcff" / "film.mp4")
    listing = list_catalog([str(tmp_path)])
    assert [one.entry.video_id for one in listing.videos] == ["good.mp4"]
    assert {one.code for one in listing.refused} == {"name"}
    assert len(listing.refused) == 2
    assert all(one.message.isprintable() and "rename" in one.message for one in listing.refused)


@pytest.mark.parametrize(
    "name",
    [
        "n" * 251 + ".mp4",
        "🎬👩‍👩‍👧.mp4",
        "two\nlines.mp4",
        "esc\x1b[2J.mp4",
        " .mp4",
        "ü" * 125 + ".mp4",
        "-rf.mp4",
    ],
)
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    (one,) = read_catalog([str(tmp_path)])
    assert one.entry.video_id == name


def test_links_to_nothing_and_in_circles_end_no_walk(tmp_path: Path) -> None:
    put(tmp_path / "a" / "film.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.mkv").symlink_to("self.mkv")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    scan = scan_folder(tmp_path)
    assert [video.path for video in scan.videos] == [f"{tmp_path}/a/film.mp4"]
    problems = {Path(one.path).name: one.message for one in scan.problems}
    assert problems == dict.fromkeys(
        ("gone.mp4", "self.mkv"), "a broken link; correct or remove it"
    )
    assert scan.passed_over.counts["link", "leads back into a folder on the way"] == 1


def test_a_data_folder_among_the_videos_is_skipped_unless_it_is_named(tmp_path: Path) -> None:
    put(tmp_path / "film.mp4")
    put(tmp_path / "data" / "uploads" / "a.mp4")
    (tmp_path / "data" / "storyhash.json").touch()
    scan = scan_folder(tmp_path)
    assert [video.path for video in scan.videos] == [f"{tmp_path}/film.mp4"]
    assert scan.passed_over.counts["data folder", "a data folder of StoryHash"] == 1
    assert len(scan_folder(tmp_path / "data").videos) == 1


def test_links_that_multiply_are_followed_a_bounded_number_of_times(tmp_path: Path) -> None:
    # Twice two links in each of twenty folders are a million ways to the last one.
    for number in range(20):
        put(tmp_path / "deep" / str(number) / "film.mp4")
        for name in ("x", "y"):
            (tmp_path / "deep" / str(number) / name).symlink_to(f"../{number + 1}")
    assert len(names(tmp_path)) <= 20 * 16


def test_what_is_no_video_is_counted_by_suffix_with_the_reason(tmp_path: Path) -> None:
    put(tmp_path / "film.mp4")
    put(tmp_path / "film.srt")
    put(tmp_path / "other.SRT")
    put(tmp_path / "film.mp4.part")
    put(tmp_path / "@eaDir" / "film.mp4")
    put(tmp_path / "lost+found" / "film.mp4")
    put(tmp_path / ".hidden.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe")
    scan = scan_folder(tmp_path)
    assert [video.path for video in scan.videos] == [f"{tmp_path}/film.mp4"]
    assert scan.problems == []
    told = {one["what"]: one["count"] for one in scan.passed_over.to_json()}
    expected = {".srt": 2, ".part": 1, "@eaDir": 1, "lost+found": 1, "hidden": 1, "special": 2}
    assert told == expected
    put(tmp_path / "texts" / "a.txt")
    with pytest.raises(UsageError, match=r"no video found; skipped: .*1 \.txt"):
        list_catalog([str(tmp_path / "texts")])


@pytest.mark.parametrize(
    ("name", "content", "is_video"),
    [
        ("player.ts", b"export const play = (film: string): void => {};\n" * 300, False),
        ("module.mts", b"import fs from 'fs'\n", False),
        ("empty.ts", b"", False),
        ("recording.ts", TS_PACKETS, True),
        ("inside.ts", bytes(77) + TS_PACKETS, True),
        ("camera.MTS", b"".join(b"\0\0\0\0G" + bytes(187) for _ in range(20)), True),
        ("damaged.ts", os.urandom(5000) + b"\0", True),
        ("no suffix", b"\x1aE\xdf\xa3" + bytes(100), True),
        ("download.bin", b"\0\0\0\x20ftypisom" + bytes(100), True),
        ("camera.mod", b"\0\0\x01\xba" + bytes(100), True),
        ("go.mod", b"module example.org/film\n", False),
        ("disc.dat", b"RIFF\0\0\0\0CDXAfmt " + bytes(100), True),
        ("film.xyz", b"RIFF\0\0\0\0AVI LIST" + bytes(100), True),
        ("sound.xyz", b"RIFF\0\0\0\0WAVEfmt " + bytes(100), False),
        ("picture", b"\0\0\0\x20ftypheic" + bytes(100), False),
        ("song", b"\0\0\0\x20ftypM4A " + bytes(100), False),
        ("README", b"hello\n", False),
        ("blob", bytes(5000), False),
        ("old.rm", b".RMF" + bytes(100), True),
    ],
)
def test_first_bytes_say_what_a_name_does_not(
    tmp_path: Path, name: str, content: bytes, is_video: bool
) -> None:
    put(tmp_path / name, content)
    scan = scan_folder(tmp_path)
    assert len(scan.videos) == is_video
    assert scan.passed_over.counts.total() == (not is_video)


READABLE = (
    "3g2 amv dav dif dv m1v m2v mj2 mjpeg mjpg mk3d mp4v mpe mpv nsv nut ogm qt rm rmvb tod tp trp vro "
    "wtv 264 265 mp4 mkv avi mov webm flv wmv mpg m2ts vob ogv mxf y4m ivf gif 3gp"
)


@pytest.mark.parametrize("suffix", READABLE.split())
def test_every_suffix_that_can_be_read_is_taken(tmp_path: Path, suffix: str) -> None:
    put(tmp_path / f"film.{suffix}")
    put(tmp_path / f"FILM.{suffix.upper()}")
    assert len(names(tmp_path)) == 2


class Calls:
    """System calls that ask the file system, counted by Python's own audit hook."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.on = False
        sys.addaudithook(self._note)

    def _note(self, event: str, _arguments: object) -> None:
        if self.on and event in ("os.scandir", "os.listdir", "open"):
            self.count[event] += 1


CALLS = Calls()


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Where nested folders are made; deleted by a program that has no limit of depth, as pytest's has."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


def test_two_thousand_nested_folders_and_twenty_thousand_files_take_few_calls(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth, files = 1900, 20_000
    make_nested(deep / "deep", depth)
    (tmp_path / "flat").mkdir()
    for number in range(files):
        os.close(os.open(tmp_path / "flat" / f"{number}.mp4", os.O_CREAT))
    stats = Counter[str]()
    stat = os.stat

    def counted(path: str, **options: Any) -> os.stat_result:
        stats["stat"] += 1
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", counted)
    CALLS.count.clear()
    CALLS.on = True
    try:
        scan = scan_folder(tmp_path)
    finally:
        CALLS.on = False
        monkeypatch.undo()
    assert len(scan.videos) == files + 1
    assert scan.problems == []
    # One listing of each folder, and no look at a file whose name says it all.
    assert CALLS.count["os.scandir"] == depth + 3
    assert CALLS.count["open"] + CALLS.count["os.listdir"] + stats["stat"] <= 10


def test_a_folder_too_deep_for_any_path_is_told_and_ends_nothing(
    deep: Path, tmp_path: Path
) -> None:
    make_nested(deep / "deep", 2500)
    put(tmp_path / "film.mp4")
    scan = scan_folder(tmp_path)
    assert [Path(video.path).name for video in scan.videos] == ["film.mp4"]
    (problem,) = scan.problems
    assert "too long" in problem.message


def make_nested(folder: Path, depth: int) -> None:
    """So many folders, each in the one before, and a film in the last; no path to it need be short."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("film.mp4", os.O_CREAT, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize("argument", ["", " ", "\t\n"])
def test_an_empty_path_is_not_the_current_folder(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "film.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"use \. for the current folder"):
        list_catalog([argument])
    assert [one.entry.video_id for one in read_catalog(["."])] == ["film.mp4"]
