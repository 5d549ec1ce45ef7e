"""Rows survive being written, in either format; what is damaged is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from evaluation.data.record_io import from_line, read_rows, to_line, write_rows
from evaluation.records import CopiedRange, QueryRow, ScoredMatch
from tests.support.evaluation_rows import found, piece, row

FORMATS = ("rows.jsonl", "rows.parquet")
numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=8)
made_rows = st.builds(
    QueryRow,
    configuration=words,
    profile=words,
    catalogue=st.sampled_from(["all", "with", "without"]),
    transform=words,
    group=words,
    video_id=words,
    family=words,
    fold=st.integers(0, 4),
    duration_seconds=numbers,
    error=words,
    pieces=st.lists(
        st.builds(CopiedRange, numbers, numbers, numbers, numbers, st.booleans()), max_size=2
    ).map(tuple),
    matches=st.lists(
        st.builds(
            ScoredMatch,
            words,
            st.sampled_from(["self", "copy", "partner", "lookalike", "stranger"]),
            numbers,
            numbers,
            words,
            words,
            numbers,
            numbers,
            numbers,
            numbers,
        ),
        max_size=2,
    ).map(tuple),
)


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@settings(deadline=None)
@given(made_rows)
def test_a_line_holds_the_whole_row(made: QueryRow) -> None:
    line = to_line(made)
    assert line.count(b"\n") == 1
    assert from_line(line) == made


# One folder for all examples: each replaces the file of the one before.
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(rows=st.lists(made_rows, max_size=4))
def test_what_was_written_is_read(path: Path, rows: list[QueryRow]) -> None:
    write_rows(path, rows)
    assert read_rows(path) == rows
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    rows = [
        row("all", found("self", 1 - 2**-53, 0.1), pieces=(piece((0, 1), (2, 3), False),)),
        row("without", error="no frames"),
    ]
    for name in FORMATS:
        write_rows(tmp_path / name, rows)
    assert read_rows(tmp_path / FORMATS[0]) == read_rows(tmp_path / FORMATS[1]) == rows


def test_parquet_nests_matches_as_structs(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    write_rows(tmp_path / "rows.parquet", [row("all", found("self", 0.5))])
    schema = parquet.read_schema(tmp_path / "rows.parquet")
    matches = schema.field("matches").type.value_type
    assert matches.field("probability").type == "double"
    assert matches.field("relation").type == "string"


def test_a_failed_write_leaves_what_was_there(path: Path) -> None:
    write_rows(path, [row("all")])
    with pytest.raises(ValueError, match="probability: expected a finite number, got nan"):
        write_rows(path, [row("all", video_id="new"), row("all", found("self", float("nan")))])
    assert read_rows(path) == [row("all")]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_null_in_a_name_is_just_a_name() -> None:
    made = row("all", video_id='":null,')
    assert from_line(to_line(made)) == made


def test_a_truncated_file_is_refused(path: Path) -> None:
    write_rows(path, [row("all", found("self", 0.5))] * 3)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match=r"rows\.\w+.*: not .*rows? of an evaluation"):
        read_rows(path)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (b'"fold":0', b'"fold":"x"', "fold: expected int, got 'x'"),
        (b'"fold":0', b'"fold":true', "fold: expected int, got True"),
        (b'"fold":0,', b"", "row: expected the fields configuration, "),
        (b'"relation":"self"', b'"relation":"friend"', "relation: expected one of"),
        (b'"probability":0.5', b'"probability":null', "probability: expected float, got None"),
        (b'"catalogue":"all"', b'"catalogue":"half"', "catalogue: expected one of"),
        (b"{", b"[{", "line 2: not a row"),
    ],
)
def test_a_line_that_is_no_row_is_named(
    tmp_path: Path, before: bytes, after: bytes, complaint: str
) -> None:
    line = to_line(row("all", found("self", 0.5)))
    damaged = line.replace(before, after, 1)
    assert damaged != line
    (tmp_path / "rows.jsonl").write_bytes(line + damaged)
    with pytest.raises(UsageError, match=complaint) as caught:
        read_rows(tmp_path / "rows.jsonl")
    assert "rows.jsonl, line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "rows.parquet")
    with pytest.raises(UsageError, match="expected the fields configuration"):
        read_rows(tmp_path / "rows.parquet")


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_rows(tmp_path / "rows.jsonl")
    with pytest.raises(UsageError, match=r"ends in \.jsonl or \.parquet, got '\.csv'"):
        write_rows(tmp_path / "rows.csv", [])


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[evaluation\]'"):
        write_rows(tmp_path / "rows.parquet", [])
