"""A table is read however a spreadsheet wrote it, or refused with its line and what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from common.types import CatalogEntry
from ingest.catalogue import list_catalog, read_catalog

TABLE = "video_id,uri,title\none,films/one.mp4,Größe\ntwo,films/two.mp4,Two\n"


def entries(path: Path) -> list[CatalogEntry]:
    return [one.entry for one in read_catalog([str(path)])]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_it_is_read_as_spreadsheets_write_it(
    tmp_path: Path, delimiter: str, encoding: str, newline: str
) -> None:
    path = tmp_path / "list.csv"
    text = TABLE.replace(",", delimiter).replace("\n", newline)
    path.write_bytes(text.encode(encoding))
    one, two = entries(path)
    assert (one.video_id, one.uri, one.title) == ("one", str(tmp_path / "films/one.mp4"), "Größe")
    assert (two.video_id, two.metadata) == ("two", {})


@pytest.mark.parametrize("heading", ["URI,Title", "Uri,TITLE", " uri , title", '"uri","title"'])
def test_our_own_columns_are_known_in_any_case(tmp_path: Path, heading: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"sep=,\n{heading},Rights\na.mp4,A,ours\n")
    (one,) = entries(path)
    assert (one.video_id, one.title, one.metadata) == ("a.mp4", "A", {"Rights": "ours"})


def test_a_file_address_is_the_path_it_means(tmp_path: Path) -> None:
    film = tmp_path / "my film.mp4"
    film.touch()
    for address in (
        film.as_uri(),
        f"file://localhost{film.as_uri()[7:]}",
        f"FILE:{film.as_uri()[5:]}",
    ):
        path = tmp_path / "list.csv"
        path.write_text(f"video_id,uri\nmine,{address}\n")
        (one,) = entries(path)
        assert one.uri == str(film)
        (listed,) = read_catalog([address])
        assert listed.entry.video_id == "my film.mp4"


def test_paths_that_go_round_are_named_without_the_detour(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("uri\n./a.mp4\nx/../b.mp4\nx//c.mp4\n/films/d.mp4\n")
    assert [one.video_id for one in entries(path)] == ["a.mp4", "b.mp4", "x/c.mp4", "/films/d.mp4"]


def test_one_bad_id_hides_no_other_video(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(
        '{"uri": "a.mp4"}\n{"uri": "b.mp4", "video_id": "../b"}\n{"uri": "../c.mp4"}\n'
        '{"uri": "d.mp4", "video_id": "d\\u001b[2J"}\n{"uri": "e.mp4", "video_id": "/e"}\n'
    )
    listing = list_catalog([str(path)])
    assert [one.entry.video_id for one in listing.videos] == ["a.mp4"]
    assert [one.video_id for one in listing.refused] == ["../b", "../c.mp4", "d\x1b[2J", "/e"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"uri,title\na.mp4,A\nb.mp4,B,more\n", "line 3: more values than columns"),
        (b"path;title\na.mp4;A\n", "line 1: expected a column named uri"),
        (b"", "line 1: expected a column named uri"),
        (b"a.mp4\nb.mp4\n", "line 1: expected a column named uri"),
        ("uri,title\na.mp4,Größe\n".encode("latin-1"), "line 2: not UTF-8 text; save it as UTF-8"),
        ("uri\na.mp4\n".encode("utf-16-le"), "without a byte-order mark"),
        ("uri\na.mp4\n".encode("utf-16")[:-1], "not UTF-16 text"),
        (b"uri,URI\na.mp4,b.mp4\n", "line 2: uri is given twice"),
        (b"uri\nfile://other/share/a.mp4\n", "line 2: .*a file on another machine"),
        (b'uri,title\na.mp4,"never closed\n', "line 2: .*correct the line"),
        (b"uri\n" + b"x" * (1 << 21) + b"\n", "line 2: .*correct the line"),
    ],
)
def test_it_is_refused_with_the_line_and_what_to_change(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as refused:
        read_catalog([str(path)])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"uri": "a.mp4"}\n{"uri": \n', "line 2"),
        (b'{"uri": "a.mp4"}\n' + b"[" * 100_000 + b"\n", "line 2"),
        (b'{"uri": "a.mp4", "n": ' + b"9" * 5000 + b"}\n", "line 1"),
        (b'{"uri": "a.mp4", "Uri": "b.mp4"}\n', "line 1: uri is given twice"),
    ],
)
def test_json_lines_are_refused_by_line_too(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_catalog([str(path)])
