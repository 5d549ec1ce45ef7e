"""Catalogues, segments, fetching and the decoders that can be killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry
from common.video import Frame, decode_clip, encode_video
from ingest.catalogue import check_entry, read_catalog
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoFailed
from ingest.segmenter import segment_frames
from tests.conftest import checkerboard, quadrants
from tests.support.services import children


def film(path: Path, seconds: float = 5.0, rate: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    encode_video(path, [checkerboard(64, 48, 4 + i % 6) for i in range(int(seconds * rate))], rate)
    return path


def names(arguments: list[str]) -> list[str]:
    return [one.entry.video_id for one in read_catalog(arguments)]


def test_a_folder_names_videos_by_their_relative_path(tmp_path: Path) -> None:
    film(tmp_path / "b" / "two.mp4")
    film(tmp_path / "one.mkv")
    (tmp_path / "notes.txt").write_text("no video")
    film(tmp_path / ".hidden" / "three.mp4")
    assert names([str(tmp_path)]) == ["b/two.mp4", "one.mkv"]
    assert names([str(tmp_path / "one.mkv")]) == ["one.mkv"]


def test_a_folder_of_numbered_pictures_is_one_video(tmp_path: Path) -> None:
    (tmp_path / "davis" / "bear").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(tmp_path / "davis" / "bear" / f"{number:05}.jpg"), quadrants())
    assert names([str(tmp_path)]) == ["davis/bear"]
    assert names([str(tmp_path / "davis" / "bear")]) == ["bear"]


def test_a_link_that_leads_back_is_not_followed(tmp_path: Path) -> None:
    film(tmp_path / "one.mp4")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names([str(tmp_path)]) == ["one.mp4"]


def test_manifests_carry_metadata_and_resolve_relative_paths(tmp_path: Path) -> None:
    film(tmp_path / "films" / "one.mp4")
    table = tmp_path / "list.csv"
    table.write_text("video_id,uri,bank,rights\nfirst,films/one.mp4,news,ours\n")
    lines = tmp_path / "list.jsonl"
    lines.write_text(json.dumps({"uri": "films/one.mp4", "title": "One", "n": 3}) + "\n\n")
    (csv_entry,) = read_catalog([str(table)])
    assert csv_entry.entry == CatalogEntry(
        "first", str(tmp_path / "films/one.mp4"), "news", "", {"rights": "ours"}
    )
    (json_entry,) = read_catalog([str(lines)], bank="mine")
    assert json_entry.entry.video_id == "films/one.mp4"
    assert (json_entry.entry.bank, json_entry.entry.metadata) == ("mine", {"n": 3})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "uri\n\n,\n", "line 3"),
        ("a.csv", "title\nx\n", "line 1: expected a column named uri"),
        ("a.csv", "uri,title\na.mp4,b,c\n", "line 2: more values than columns"),
        ("a.csv", "uri,uri\na.mp4,b.mp4\n", "line 1: uri is given twice"),
        ("a.csv", "uri,rights,rights\na.mp4,ours,theirs\n", "line 1: rights is given twice"),
        ("a.jsonl", '{"uri": 5}\n', "line 1"),
        ("a.jsonl", "[]\n", "line 1: expected a JSON object"),
        ("a.jsonl", "{oops\n", "oops"),
    ],
)
def test_a_bad_manifest_names_the_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError, match=said):
        read_catalog([str(path)])


def test_empty_columns_of_a_spreadsheet_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("uri,rights,,\na.mp4,ours,,\nb.mp4,theirs,,,,\n")
    found = [(item.entry.uri, item.entry.metadata) for item in read_catalog([str(path)])]
    assert found == [
        (str(tmp_path / "a.mp4"), {"rights": "ours"}),
        (str(tmp_path / "b.mp4"), {"rights": "theirs"}),
    ]


def test_what_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="file or folder not found"):
        read_catalog([str(tmp_path / "nowhere")])
    with pytest.raises(UsageError, match="no video"):
        read_catalog([str(tmp_path)])
    film(tmp_path / "a" / "same.mp4")
    film(tmp_path / "b" / "same.mp4")
    with pytest.raises(UsageError, match="two videos have the id"):
        read_catalog([str(tmp_path / "a"), str(tmp_path / "b")])


@pytest.mark.parametrize("address", ["http://[host/a.mp4", "file://[host/a.mp4"])
def test_a_wrong_address_is_named(address: str) -> None:
    with pytest.raises(UsageError, match="not a valid address"):
        read_catalog([address])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_segments_cover_the_video_and_lose_no_frame(steps: list[float], last: float) -> None:
    times = np.cumsum([0.0, *steps[:-1]])
    picture = np.zeros((2, 2, 3), np.uint8)
    end = float(times[-1]) + last
    stretches = list(
        segment_frames(
            (Frame(float(t), picture) for t in times),
            lambda: end,
            segment_seconds=4.0,
            min_tail_seconds=2.0,
        )
    )
    seen = np.concatenate([one.batch.pts_seconds for one in stretches])
    assert (np.diff(seen) > 0).all()
    # Beside the frames, those that are held.
    assert set(times) <= set(seen)
    assert stretches[-1].end_seconds == pytest.approx(end)
    for one in stretches:
        assert one.batch.pts_seconds[0] >= one.start_seconds - 1e-5
        assert one.batch.pts_seconds[-1] < one.end_seconds + 1e-5
    for before, after in itertools.pairwise(stretches):
        assert before.end_seconds <= after.start_seconds + 1e-9
        assert before.start_seconds % 4.0 == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3.0, [(0, 3)]),
        (5.0, [(0, 5)]),
        (6.5, [(0, 4), (4, 6.5)]),
        (9.0, [(0, 4), (4, 9)]),
        (12.0, [(0, 4), (4, 8), (8, 12)]),
    ],
)
def test_a_short_remainder_joins_the_segment_before_it(
    tmp_path: Path, seconds: float, expected: list[tuple[float, float]]
) -> None:
    path = film(tmp_path / "film.mp4", seconds)
    with DecoderPool(VideoSettings(), IngestSettings(workers=1)) as pool:
        events = list(pool.run([(CatalogEntry("film", str(path)), 3)]))
    segments = [event.segment for event in events if isinstance(event, SegmentReady)]
    spans = [(one.ref.start_seconds, one.ref.end_seconds) for one in segments]
    assert spans == [pytest.approx(span) for span in expected]
    assert {one.ref.version for one in segments} == {3}
    done = events[-1]
    assert isinstance(done, VideoDone)
    assert done.segments == len(expected)
    assert done.duration_seconds == pytest.approx(seconds)
    opened = decode_clip(segments[0].clip, start_seconds=0.0)
    assert opened.frames.shape[1:] == (48, 64, 3)


def test_one_bad_video_leaves_the_others_alone(tmp_path: Path) -> None:
    good = [film(tmp_path / f"{n}.mp4", 3) for n in range(3)]
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"rubbish")
    work = [(CatalogEntry(path.name, str(path)), 1) for path in [good[0], bad, *good[1:]]]
    with DecoderPool(VideoSettings(), IngestSettings(workers=2)) as pool:
        events = list(pool.run(work))
    failed = [event for event in events if isinstance(event, VideoFailed)]
    assert [(one.entry.video_id, one.error.code) for one in failed] == [("bad.mp4", "unreadable")]
    assert sum(isinstance(event, VideoDone) for event in events) == 3


@pytest.mark.usefixtures("own_interpreters")
def test_a_killed_decoder_costs_one_video(tmp_path: Path) -> None:
    paths = [film(tmp_path / f"{n}.mp4", 20) for n in range(2)]
    before = set(children(os.getpid()))
    with DecoderPool(VideoSettings(), IngestSettings(workers=1)) as pool:
        run = pool.run([(CatalogEntry(path.name, str(path)), 1) for path in paths])
        next(run)
        (pid,) = set(children(os.getpid())) - before
        os.kill(pid, signal.SIGKILL)
        events = list(run)
    (failed,) = [event for event in events if isinstance(event, VideoFailed)]
    assert failed.error.code == "decoder_crashed"
    assert "SIGKILL" in str(failed.error)
    assert [event.entry.video_id for event in events if isinstance(event, VideoDone)] == ["1.mp4"]


@pytest.mark.usefixtures("own_interpreters")
def test_leaving_a_run_half_way_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    paths = [film(tmp_path / f"{n}.mp4", 20) for n in range(4)]
    before, processes = set(threading.enumerate()), set(children(os.getpid()))
    with DecoderPool(VideoSettings(), IngestSettings(workers=2)) as pool:
        run = pool.run([(CatalogEntry(path.name, str(path)), 1) for path in paths])
        next(run)
        pids = set(children(os.getpid())) - processes
        assert pids
        run.close()
    assert set(threading.enumerate()) <= before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_pool_that_is_told_to_stop_does_not_wait_for_a_slow_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow.mp4")
    stopping = threading.Event()
    endless = VideoSettings(stall_seconds=3600, wall_seconds=3600)
    with DecoderPool(endless, IngestSettings(workers=1)) as pool:
        threading.Timer(1.0, stopping.set).start()
        work = [(CatalogEntry("slow", str(tmp_path / "slow.mp4")), 1)]
        assert list(pool.run(work, stopping)) == []
        next_one = CatalogEntry("film", str(film(tmp_path / "film.mp4")))
        assert isinstance(list(pool.run([(next_one, 1)]))[-1], VideoDone)


def test_a_name_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.mp4").touch()
    with pytest.raises(UsageError, match="rename"):
        read_catalog([str(tmp_path)])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match="save the video as a file"):
        read_catalog([str(tmp_path / "pipe.mp4")])


def test_a_bank_name_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="bank: expected a name"):
        check_entry(CatalogEntry("a", "/a.mp4", "news\nsport"))
    # A bank that is given for all videos is one mistake, not one per video.
    with pytest.raises(UsageError, match="bank: expected a name"):
        read_catalog([], "news\nsport")


def test_a_pool_takes_jobs_as_they_come(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 3)
    arrived = threading.Event()
    idled = threading.Event()

    def jobs() -> Iterator[tuple[CatalogEntry, int] | None]:
        yield CatalogEntry("first", str(path)), 1
        while not arrived.is_set():
            yield None
        yield CatalogEntry("second", str(path)), 1

    done: list[VideoDone] = []

    def on_idle() -> None:
        idled.set()
        # The second comes when the first is done: two decoders promise no order.
        if done:
            arrived.set()

    with DecoderPool(VideoSettings(), IngestSettings(workers=2)) as pool:
        for one in pool.run(jobs(), on_idle=on_idle):
            if isinstance(one, VideoDone):
                done.append(one)  # noqa: PERF401  (on_idle looks at it meanwhile)
    assert [one.entry.video_id for one in done] == ["first", "second"]
    assert idled.is_set()


def test_jobs_that_cannot_be_listed_end_a_run_with_their_error(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 3)

    def jobs() -> Iterator[tuple[CatalogEntry, int] | None]:
        yield CatalogEntry("first", str(path)), 1
        raise UsageError("the list is torn")

    with (
        DecoderPool(VideoSettings(), IngestSettings(workers=2)) as pool,
        pytest.raises(UsageError, match="torn"),
    ):
        list(pool.run(jobs()))


def test_a_manifest_says_which_metadata_nothing_can_hold(tmp_path: Path) -> None:
    film(tmp_path / "one.mp4")
    for value, said in (("NaN", "not finite"), ("1" * 30, "not JSON")):
        lines = tmp_path / "list.jsonl"
        lines.write_text(f'{{"uri": "one.mp4", "n": {value}}}\n')
        with pytest.raises(UsageError, match=said):
            read_catalog([str(lines)])


def test_a_run_that_is_left_while_a_decoder_hangs_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow.mp4")
    path = film(tmp_path / "film.mp4", 3)
    endless = VideoSettings(stall_seconds=3600, wall_seconds=3600)
    with DecoderPool(endless, IngestSettings(workers=2)) as pool:
        work = [CatalogEntry("slow", str(tmp_path / "slow.mp4")), CatalogEntry("film", str(path))]
        run = pool.run([(entry, 1) for entry in work])
        assert any(isinstance(event, VideoDone) for event in run)
        run.close()
        again = list(pool.run([(CatalogEntry("film", str(path)), 1)]))
        assert isinstance(again[-1], VideoDone)
