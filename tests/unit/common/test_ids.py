"""What may be the id of a video, and how an id stands in an address."""

from __future__ import annotations

from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.ids import MAX_ID_BYTES, check_chosen_id, check_video_id, id_in_path


@pytest.mark.parametrize(
    "video_id",
    ["trains.mkv", "b/two.mp4", "a...b", "...", "two\nlines.mp4", "👩‍👩‍👧.mp4", "ü" * 127, " "],
)
def test_ids_that_paths_in_folders_give_are_taken(video_id: str) -> None:
    check_video_id(video_id)


@pytest.mark.parametrize(
    ("video_id", "said"),
    [
        ("", "empty"),
        ("..", "part"),
        (".", "part"),
        ("a/../b", "part"),
        ("../a", "part"),
        ("./a", "part"),
        ("a/.", "part"),
        ("a\0b", "NUL"),
        ("a\udcff", "rename"),
        ("x" * (MAX_ID_BYTES + 1), "shorter"),
        ("ü" * (MAX_ID_BYTES // 2 + 1), "shorter"),
    ],
)
def test_an_id_that_cannot_be_kept_is_refused(video_id: str, said: str) -> None:
    for check in (check_video_id, check_chosen_id):
        with pytest.raises(UsageError, match=said):
            check(video_id)


@pytest.mark.parametrize(
    "video_id", ["/a", "a/", "a//b", "/", "a\nb", "a\x1b[2J", "a\u202eb", "//"]
)
def test_an_id_that_is_chosen_is_held_to_more(video_id: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_chosen_id(video_id)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "video_id",
    ["trains", "b/two", "https://host/film.mp4", "https://host/films/", "s3://b/k", "a:b"],
)
def test_ids_that_are_chosen_with_care_are_taken(video_id: str) -> None:
    check_chosen_id(video_id)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_id_in_an_address_is_one_part_of_its_path(video_id: str) -> None:
    part = id_in_path(video_id)
    assert unquote(part) == video_id
    assert "/" not in part
    assert part not in (".", "..")


@pytest.mark.parametrize(
    "video_id", ["..", ".", "a/../b", "/a", "a?b#c", "%2e%2e", "a\nb", "..%2F.."]
)
def test_no_client_makes_another_path_of_it(video_id: str) -> None:
    url = httpx.URL("http://host").join(f"/v1/videos/{id_in_path(video_id)}")
    assert unquote(url.raw_path.decode()) == f"/v1/videos/{video_id}"


@given(st.text(), st.text())
def test_two_ids_are_two_addresses(one: str, other: str) -> None:
    assert (id_in_path(one) == id_in_path(other)) == (one == other)
