"""`storyhash match`: one answer for every video, in the order given."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import cv2
import pytest

from common.settings import Settings as StateOf
from common.state.curation import BankSetting
from common.state.exceptions import NewException
from common.state.state import State
from common.video import encode_video
from searcher.curation.match_detail import QueryIdentity
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.e2e.conftest import COMPARED, Settings, copied, draw, small, storyhash
from tests.support.preloaded import start_python

FIELDS = {
    "video_id", "uri", "bank", "score", "probability", "search_view", "view", "query_start_seconds",
    "query_end_seconds", "ref_start_seconds", "ref_end_seconds", "coverage", "decision", "evidence",
    "transform", "range_confidence", "range_certain", "action",
}  # fmt: skip


def test_answers_come_in_the_order_given_and_an_unreadable_video_gets_one_too(
    films: Path, indexed: Path, tmp_path: Path
) -> None:
    noise, mirrored = tmp_path / "noise.mp4", draw(tmp_path / "m.mp4", 2, mirrored=True)
    noise.write_bytes(b"no video at all")
    stranger = draw(tmp_path / "stranger.mp4", 77)
    asked = [films / "c.mov", noise, mirrored, tmp_path / "missing.mp4", stranger]
    run = storyhash("match", *asked, "--data", indexed, "--json", **COMPARED)
    assert run.exit_code == 1
    answers = run.lines
    assert [one["query"]["uri"] for one in answers] == [str(path) for path in asked]
    copy, unreadable, flipped, missing, unknown = answers
    assert (copy["decision"], copy["matches"][0]["video_id"]) == ("copy", "c.mov")
    assert copy["matches"][0]["uri"] == str(films / "c.mov")
    assert set(copy["matches"][0]) == FIELDS
    assert copy["query"]["duration_seconds"] == 6.0
    assert (flipped["decision"], flipped["matches"][0]["video_id"]) == ("copy", "b.mkv")
    # The network sees no difference between a picture and its mirror image.
    assert flipped["matches"][0]["search_view"] == "identity"
    assert copy["matches"][0]["transform"]["words"] == "unchanged"
    assert flipped["matches"][0]["transform"]["words"] == "mirrored"
    assert unknown["decision"] == "no_match"
    for refused in (unreadable, missing):
        assert set(refused) == {"query", "error"}
        assert refused["error"]["code"]
        assert refused["error"]["message"]


def test_a_folder_of_pictures_is_a_query_and_a_pipe_is_none(indexed: Path, tmp_path: Path) -> None:
    folder, pipe = tmp_path / "shot", tmp_path / "pipe.mp4"
    folder.mkdir()
    os.mkfifo(pipe)
    # Pictures of a folder are shown for 1/24 s each.
    times = [frame for frame in film(2, 6.0) for _ in range(24 // FRAMES_PER_SECOND)]
    for number, picture in enumerate(times):
        cv2.imwrite(str(folder / f"{number:04}.jpg"), picture[..., ::-1])
    shot, refused = storyhash("match", folder, pipe, "--data", indexed, "--json").lines
    assert (shot["decision"], shot["matches"][0]["video_id"]) == ("copy", "b.mkv")
    pictures = sorted(folder.iterdir())
    assert shot["query"]["fingerprint"] == QueryIdentity.of_files(pictures).fingerprint
    assert "save the video as a file" in refused["error"]["message"]


def test_what_people_set_in_the_folder_is_obeyed(
    films: Path, indexed: Path, tmp_path: Path
) -> None:
    data = copied(indexed, tmp_path)
    fingerprint = QueryIdentity.of_files([films / "b.mkv"]).fingerprint
    pair = NewException("pair", "default", "b.mkv", "parody", "", fingerprint)
    with State(StateOf(data_dir=data)) as state:
        state.curation.disable("a.mp4", None)
        state.exceptions.add(pair, lambda *_: "no_match", None)
        bank = BankSetting("", "", enabled=True, policy={"min_seconds": 5.0}, share=0.0)
        state.curation.put_bank("default", bank, None)
    asked = [films / name for name in ("a.mp4", "b.mkv", "c.mov")]
    disabled, excepted, copy = storyhash("match", *asked, "--data", data, "--json").lines
    assert all(one["video_id"] != "a.mp4" for one in disabled["matches"] + disabled["candidates"])
    (item,) = [one for one in excepted["excepted"] if one["video_id"] == "b.mkv"]
    assert (item["decision"], item["exceptions"][0]["kind"]) == ("no_match", "pair")
    assert excepted["query"]["fingerprint"] == fingerprint
    assert (copy["decision"], copy["action"]) == ("copy", "notify")
    assert "match_id" not in copy["matches"][0]


def test_an_excerpt_inside_another_film_is_placed(indexed: Path, tmp_path: Path) -> None:
    host, part = list(film(70, 12.0)), list(film(4, 6.0))
    path = tmp_path / "host.mp4"
    encode_video(path, small([*host[:60], *part[:48], *host[60:]]), FRAMES_PER_SECOND)
    (answer,) = storyhash("match", path, "--data", indexed, "--json").lines
    best = answer["matches"][0]
    assert (answer["decision"], best["video_id"]) == ("copy", "series one/d.mp4")
    assert abs(best["query_start_seconds"] - 5.0) < 1.5
    assert abs(best["query_end_seconds"] - 9.0) < 1.5
    assert best["coverage"] < 0.5


def test_people_get_words(films: Path, indexed: Path) -> None:
    # In an interpreter of its own, as it is for them.
    run = storyhash("match", films / "a.mp4", "--data", indexed, start=start_python, **COMPARED)
    assert run.exit_code == 0, run.stderr
    assert "a.mp4: copy" in run.stdout
    assert re.search(r"copy +>99\.9%  a\.mp4  0\.0-6\.0 s is 0\.\d-[56]\.\d s of it", run.stdout)


def test_the_same_question_gets_the_same_answer_and_writes_nothing(
    films: Path, indexed: Path
) -> None:
    before = set(indexed.rglob("*"))
    one, other = (
        storyhash("match", films / "a.mp4", "--data", indexed, "--json") for _ in range(2)
    )
    assert (one.exit_code, other.exit_code) == (0, 0)
    assert one.stdout == other.stdout
    written = {path.name for path in {*indexed.rglob("*")} - before}
    assert written <= {"videos.sqlite-shm", "videos.sqlite-wal"}


def inset(path: Path, host: int, guest: int, seconds: float = 6.0) -> Path:
    """One film small in the corner of another."""
    frames = []
    for around, shown in zip(film(host, seconds), film(guest, seconds), strict=True):
        picture = cv2.resize(shown, (192, 108), interpolation=cv2.INTER_AREA)
        around[140:248, 264:456] = picture
        frames.append(around)
    encode_video(path, frames, FRAMES_PER_SECOND)
    return path


def test_a_film_in_the_corner_of_a_stranger_is_found_by_a_closer_look(
    indexed: Path, tmp_path: Path
) -> None:
    path = inset(tmp_path / "reaction.mp4", host=78, guest=2, seconds=4.0)
    (answer,) = storyhash("match", path, "--data", indexed, "--json", **COMPARED).lines
    best = answer["matches"][0]
    # To the network of `offline` the drawn film hardly changes, so it may go to review.
    assert best["video_id"] == "b.mkv"
    assert answer["decision"] in {"copy", "review"}
    assert best["search_view"] in {"inner", "bottom_right", "right", "bottom"}
    left, top, right, bottom = best["transform"]["query_region"]
    # 192 x 108 pixels at (264, 140) of 480 x 270.
    assert (left, right) == pytest.approx((0.55, 0.95), abs=0.05)
    assert (top, bottom) == pytest.approx((0.52, 0.92), abs=0.05)


def test_what_else_a_copy_holds_is_found_where_one_is_thorough(
    indexed: Path, tmp_path: Path
) -> None:
    path = inset(tmp_path / "both.mp4", host=1, guest=2, seconds=4.0)
    quick, thorough = (
        storyhash("match", path, "--data", indexed, "--json", *options).lines[0]
        for options in ((), ("--thorough",))
    )

    def told_of(answer: dict[str, Any]) -> set[str]:
        return {one["video_id"] for one in answer["matches"]}

    # The picture as it is settles it, so nobody looks into its corners.
    assert told_of(quick) == {"a.mp4"}
    assert told_of(thorough) == {"a.mp4", "b.mkv"}


def test_a_bank_decides_by_its_own_policy(films: Path, indexed: Path) -> None:
    strict: Settings = {"STORYHASH_MATCHING__BANKS": '{"default": {"min_seconds": 60}}'}
    (answer,) = storyhash("match", films / "a.mp4", "--data", indexed, "--json", **strict).lines
    assert answer["decision"] == "no_match"
    assert answer["matches"] == []
    assert answer["candidates"][0]["probability"] > 0.9


def test_doubtful_matches_are_verified_with_thumbnails_after_the_originals_were_moved_away(
    tmp_path: Path,
) -> None:
    films, data = tmp_path / "films", tmp_path / "data"
    films.mkdir()
    for name, seed in {"a.mp4": 1, "b.mp4": 2, "c.mp4": 3}.items():
        draw(films / name, seed)
    kept: Settings = {"STORYHASH_THUMBNAILS__ENABLED": "true"}
    assert storyhash("index", films, "--data", data, "--profile", "offline", **kept).exit_code == 0
    films.rename(tmp_path / "archive")
    cropped, stranger = tmp_path / "cropped.mp4", draw(tmp_path / "stranger.mp4", 80)
    quarter = (cv2.resize(one[:68, :120], (240, 136)) for one in small(film(2, 6.0)))
    encode_video(cropped, quarter, FRAMES_PER_SECOND)
    asked = "match", cropped, stranger, "--data", data, "--json"
    before, _ = storyhash(*asked).lines
    assert before["decision"] != "copy"
    copy, unknown = storyhash(*asked, **COMPARED).lines
    assert (copy["decision"], unknown["decision"]) == ("copy", "no_match")
    (match,) = copy["matches"]
    assert match["video_id"] == "b.mp4"
    assert match["transform"]["words"] == "cropped to the top left 50% x 50%"
    verification = match["evidence"]["verification"]
    assert (verification["outcome"], verification["pictures"]) == ("confirmed", "thumbnails")
    (looked_at,) = [
        one["evidence"]["verification"]
        for one in unknown["candidates"]
        if "verification" in one["evidence"]
    ]
    assert (looked_at["outcome"], looked_at["pictures"]) == ("not_confirmed", "thumbnails")
