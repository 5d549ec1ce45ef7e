"""`storyhash duplicates` on drawn films: copies, an excerpt, a compilation, a film like no other."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.types import UInt8Array
from common.video import encode_video
from storyhash.duplicates.file_reading import MAX_THUMBNAIL_BYTES
from storyhash.samples import FRAMES_PER_SECOND, film, letterbox_and_caption
from tests.e2e.conftest import ROOT, Run, draw, environment, small, storyhash
from tests.support import preloaded

HOSTILE = '<img src=x onerror=alert(1)>&".mp4'


def _part(seed: int, start_seconds: float, seconds: float) -> Iterator[UInt8Array]:
    first = round(start_seconds * FRAMES_PER_SECOND)
    return islice(
        film(seed, start_seconds + seconds), first, first + round(seconds * FRAMES_PER_SECOND)
    )


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of films, and a data folder in which they are indexed."""
    folder = tmp_path_factory.mktemp("duplicates")
    films, data = folder / "films", folder / "data"
    (films / "more").mkdir(parents=True)
    encode_video(films / "harbour.mp4", film(8, 14.0), FRAMES_PER_SECOND)
    encode_video(films / "small.mp4", small(film(8, 14.0)), FRAMES_PER_SECOND, crf=30)
    framed = map(letterbox_and_caption, film(8, 14.0))
    encode_video(films / "more" / "framed.mp4", framed, FRAMES_PER_SECOND)
    encode_video(films / "excerpt.mp4", small(_part(8, 4.0, 6.0)), FRAMES_PER_SECOND)
    draw(films / "market.mp4", 9, 14.0)
    both = chain(_part(8, 8.0, 6.0), _part(9, 8.0, 6.0))
    encode_video(films / "compilation.mp4", small(both), FRAMES_PER_SECOND)
    draw(films / "valley.mp4", 12, 8.0)
    draw(films / HOSTILE, 13, 8.0)
    draw(films / "more" / "city.mp4", 13, 8.0)
    run = storyhash("index", films, "--data", data, "--profile", "offline")
    assert run.exit_code == 0, run.stderr
    return films, data


@pytest.fixture(scope="module")
def found(catalogue: tuple[Path, Path]) -> Run:
    """All groups of the catalogue."""
    run = storyhash("duplicates", "--data", catalogue[1], "--json")
    assert run.exit_code == 0, run.stderr
    return run


def _listed(line: dict[str, list[dict[str, str]]], role: str) -> list[str]:
    return [one["video_id"] for one in line["videos"] if one["role"] == role]


def test_copies_are_grouped_and_a_compilation_joins_no_two_films(found: Run) -> None:
    groups = {_listed(line, "copy")[0]: line for line in found.lines}
    harbour = groups["more/framed.mp4"]
    assert _listed(harbour, "copy") == ["more/framed.mp4", "harbour.mp4", "small.mp4"]
    assert _listed(harbour, "excerpt") == ["excerpt.mp4"]
    (pair,) = [
        one
        for one in harbour["pairs"]
        if {one["first"], one["second"]} == {"excerpt.mp4", "harbour.mp4"}
    ]
    (shared,) = pair["ranges"]
    assert [*shared.values()] == pytest.approx([0.0, 6.0, 4.0, 10.0], abs=1.0)
    assert {"compilation.mp4"} < {
        end for one in harbour["parts"] for end in (one["first"], one["second"])
    }
    assert _listed(groups["market.mp4"], "copy") == ["market.mp4"]
    assert {one["first"] for one in groups["market.mp4"]["parts"]} == {"compilation.mp4"}
    cities = next(line for line in found.lines if HOSTILE in _listed(line, "copy"))
    assert sorted(_listed(cities, "copy")) == sorted([HOSTILE, "more/city.mp4"])
    assert "valley.mp4" not in found.stdout
    assert "harbour.mp4" not in str(cities)


def test_each_line_has_what_the_documentation_says(found: Run) -> None:
    first = found.lines[0]
    assert [*first] == ["group", "videos", "pairs", "parts"]
    assert [*first["videos"][0]] == [
        *("rank", "role", "video_id", "uri", "bank", "title", "duration_seconds"),
        *("width", "height", "bytes", "bits_per_second", "problem"),
    ]
    assert [*first["pairs"][0]] == [
        *("first", "second", "decision", "probability"),
        *("first_coverage", "second_coverage", "ranges"),
    ]
    assert [*first["pairs"][0]["ranges"][0]] == [
        *("first_start_seconds", "first_end_seconds"),
        *("second_start_seconds", "second_end_seconds"),
    ]
    usage = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    for name in (*first, *first["videos"][0], *first["pairs"][0]):
        assert f"`{name}`" in usage, name


def test_a_path_limits_the_groups_and_tells_what_is_not_indexed(
    catalogue: tuple[Path, Path], found: Run, tmp_path: Path
) -> None:
    films, data = catalogue
    below = storyhash("duplicates", films / "more" / "city.mp4", "--data", data, "--json")
    assert [{**line, "group": 0} for line in below.lines] == [
        {**line, "group": 0} for line in found.lines if "more/city.mp4" in str(line)
    ]
    other = draw(tmp_path / "new.mp4", 14, 4.0)
    run = storyhash("duplicates", other, "--data", data)
    assert run.exit_code == 2
    assert "run `storyhash index" in run.stderr
    assert storyhash("duplicates", tmp_path / "nowhere", "--data", data).exit_code == 2


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_but_itself(catalogue: tuple[Path, Path], tmp_path: Path) -> None:
    data = catalogue[1]
    path = tmp_path / "page.html"
    run = storyhash("duplicates", "--data", data, "--html", path, "--thumbnails", "40")
    assert run.exit_code == 0, run.stderr
    assert "2 groups, 6 videos" in run.stdout
    source = path.read_text(encoding="utf-8")
    page = _Page()
    page.feed(source)
    # Base64 may hold anything; what else there is must name no other place.
    apart = re.sub(r"base64,[A-Za-z0-9+/=]*", "", source)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script", apart)
    used = {tag for tag, _ in page.tags}
    assert not used & {"script", "link", "iframe", "object", "embed", "a", "form"}
    assert all(
        name in {"lang", "charset", "name", "content", "http-equiv", "class", "alt", "src"}
        for _, attributes in page.tags
        for name in attributes
    )
    images = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert 6 <= len(images) <= 40
    for image in images:
        kind, _, encoded = image.partition(",")
        assert kind == "data:image/jpeg;base64"
        jpeg = base64.b64decode(encoded, validate=True)
        assert len(jpeg) <= MAX_THUMBNAIL_BYTES
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert max(picture.shape[:2]) <= 320
    assert HOSTILE in page.text
    assert "excerpt.mp4" in page.text
    assert not list(tmp_path.glob("*.new"))


def test_the_page_is_written_also_if_nobody_reads_the_list(
    catalogue: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone, (tmp_path / "stderr").open("wb") as stderr:
        process = preloaded.start(
            ["storyhash", "duplicates", "--data", str(catalogue[1]), "--html", str(page)],
            env=environment(),
            cwd=ROOT,
            stdout=gone,
            stderr=stderr,
        )
    assert process.wait(300) == 0, (tmp_path / "stderr").read_text()
    assert "2 groups, 6 videos" in page.read_text()


def test_a_page_is_refused_where_it_cannot_be_written(
    catalogue: tuple[Path, Path], tmp_path: Path
) -> None:
    for target in (tmp_path, tmp_path / "missing" / "page.html"):
        run = storyhash("duplicates", "--data", catalogue[1], "--html", target)
        assert run.exit_code == 2
        assert "folder" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_comes_last_and_has_no_thumbnail(films: Path, tmp_path: Path) -> None:
    folder, data, page = tmp_path / "films", tmp_path / "data", tmp_path / "page.html"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes((films / "a.mp4").read_bytes() + name.encode())
    assert storyhash("index", folder, "--data", data, "--profile", "offline").exit_code == 0
    (folder / "a.mp4").unlink()
    run = storyhash("duplicates", folder, "--data", data, "--json", "--html", page)
    assert run.exit_code == 0, run.stderr
    (line,) = run.lines
    assert _listed(line, "copy") == ["b.mp4", "a.mp4"]
    assert [one["problem"] for one in line["videos"]] == [None, "the file is missing"]
    assert "the file is missing" in page.read_text()


def test_without_an_index_it_says_what_to_do(tmp_path: Path) -> None:
    run = storyhash("duplicates", "--data", tmp_path / "none")
    assert run.exit_code == 2
    assert run.stderr.startswith("error:")
