"""What a pattern leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from ingest.catalogue import list_catalog
from ingest.exclusion import Exclusion


@pytest.mark.parametrize(
    ("pattern", "out", "kept"),
    [
        ("*.tmp.mp4", ["a.tmp.mp4", "deep/down/b.tmp.mp4"], ["a.mp4", "tmp.mp4/a.mp4"]),
        ("/a.mp4", ["a.mp4"], ["b/a.mp4"]),
        ("raw/*.mov", ["raw/a.mov"], ["raw/b/a.mov", "c/raw/a.mov", "a.mov"]),
        ("**/raw", ["raw/a.mov", "c/d/raw/a.mov"], ["rawer/a.mov"]),
        ("raw/**", ["raw/a.mov", "raw/b/c.mov"], ["raw", "b/raw/a.mov"]),
        ("a/**/z.mp4", ["a/z.mp4", "a/b/c/z.mp4"], ["b/a/z.mp4"]),
        ("raw/", ["raw/a.mov", "b/raw/c/d.mov"], ["raw", "b/raw"]),
        ("take?.mp4", ["take1.mp4"], ["take10.mp4", "take/.mp4"]),
        ("take[0-4].mp4", ["take3.mp4"], ["take5.mp4"]),
        ("take[!0-4].mp4", ["take5.mp4"], ["take3.mp4"]),
        ("a+(b).mp4", ["a+(b).mp4"], ["aab.mp4"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, out: list[str], kept: list[str]) -> None:
    exclusion = Exclusion([pattern])
    assert [path for path in out if not exclusion.covers(path)] == []
    assert [path for path in kept if exclusion.covers(path)] == []


@pytest.mark.parametrize("pattern", ["", "/", "!a.mp4"])
def test_a_pattern_that_says_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="--exclude"):
        Exclusion([pattern])


@pytest.mark.parametrize("pattern", ["[z-a].mp4", "take[!].mp4"])
def test_a_pattern_with_impossible_characters_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="between"):
        Exclusion([pattern])


def test_what_is_left_out_of_a_folder_is_counted_and_what_is_named_itself_is_taken(
    tmp_path: Path,
) -> None:
    for name in ("a.mp4", "b.tmp.mp4", "raw/c.mp4", "raw/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    exclusion = Exclusion(["*.tmp.mp4", "raw/"])
    listing = list_catalog([str(tmp_path)], exclusion=exclusion)
    assert [one.entry.video_id for one in listing.videos] == ["a.mp4"]
    assert dict(listing.passed_over.counts) == {
        ("excluded", "matches *.tmp.mp4"): 1,
        ("excluded folder", "matches raw/"): 1,
    }
    assert listing.passed_over.excluded == 2
    assert listing.excludes(str(tmp_path), str(tmp_path / "raw" / "c.mp4"))
    assert not listing.excludes(str(tmp_path), str(tmp_path / "a.mp4"))
    named = list_catalog([str(tmp_path / "b.tmp.mp4")], exclusion=exclusion)
    assert [one.entry.video_id for one in named.videos] == ["b.tmp.mp4"]
