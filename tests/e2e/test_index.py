"""`storyhash index`: idempotent, resumable, and honest about what it could not do."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.e2e.conftest import ROOT, Run, command, draw, environment, storyhash
from tests.support import preloaded

OFFLINE = ("--profile", "offline", "--json")


def test_a_second_run_does_nothing_and_a_changed_file_is_done_again(
    first_run: tuple[Path, Run], library: tuple[Path, Path], tmp_path: Path
) -> None:
    _, first = first_run
    catalogue, data = library
    assert (first.json["indexed"], first.json["segments"]) == (4, 4 * 2)
    assert first.json["realtime_factor"] > 0
    assert set(first.json["stage_seconds"]) >= {"decode", "pack", "track", "visual encode", "index"}

    second = storyhash("index", catalogue, "--data", data, "--json")
    assert (second.json["indexed"], second.json["unchanged"]) == (0, 4)

    draw(catalogue / "a.mp4", 99)
    (catalogue / "b.mkv").unlink()
    draw(catalogue / "new.mp4", 5)
    third = storyhash("index", catalogue, "--data", data, "--json")
    assert (third.json["indexed"], third.json["unchanged"]) == (2, 2)
    assert third.json["removed"] == ["b.mkv"]
    shown = storyhash("videos", "show", "a.mp4", "--data", data, "--json").json
    assert shown["version"] == 2
    # The old pictures of a.mp4 are gone, the new ones are there.
    queries = draw(tmp_path / "old.mp4", 1), draw(tmp_path / "new.mp4", 99)
    old, new = storyhash("match", *queries, "--data", data, "--json").lines
    assert old["decision"] == "no_match"
    assert (new["decision"], new["matches"][0]["video_id"]) == ("copy", "a.mp4")


def test_what_cannot_be_indexed_is_refused_in_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    catalogue = tmp_path / "films"
    catalogue.mkdir()
    draw(catalogue / "good.mp4", 1)
    (catalogue / "noise.mp4").write_bytes(os.urandom(5000))
    (catalogue / "empty.mp4").write_bytes(b"")
    whole = (catalogue / "good.mp4").read_bytes()
    (catalogue / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    run = storyhash("index", catalogue, "--data", tmp_path / "data", *OFFLINE)
    assert run.exit_code == 1
    assert run.json["indexed"] == 1
    refused = {one["video_id"]: one for one in run.json["failed"]}
    assert set(refused) == {"noise.mp4", "empty.mp4", "cut.mp4"}
    assert all(one["code"] and "\n" not in one["message"] for one in refused.values())
    # It is not tried again until it changes, and still counts as failed.
    again = storyhash("index", catalogue, "--data", tmp_path / "data", "--json")
    assert again.exit_code == 1
    assert (again.json["unchanged"], len(again.json["failed"])) == (1, 3)
    listed = storyhash("videos", "list", "--data", tmp_path / "data", "--json").json["items"]
    states = {video["video_id"]: video["state"] for video in listed}
    assert states == {"good.mp4": "ready"} | dict.fromkeys(refused, "failed")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    catalogue = tmp_path / "films"
    catalogue.mkdir()
    secret = draw(catalogue / "secret.mp4", 1)
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        secret.unlink()
        # The root user reads everything; a dangling link nobody can.
        secret.symlink_to(tmp_path / "gone.mp4")
    run = storyhash("index", catalogue / "secret.mp4", "--data", tmp_path / "data", *OFFLINE)
    assert run.exit_code in (1, 2)
    assert "secret.mp4" in run.stdout + run.stderr


def ready_videos(data: Path) -> int:
    try:
        with sqlite3.connect(f"file:{data / 'videos.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM videos WHERE state='ready'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        if "db" in locals():
            db.close()


@pytest.fixture(scope="module")
def eight_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eight")
    for seed in range(8):
        draw(folder / f"{seed:02}.mp4", seed, 2.0)
    return folder


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_half_way_goes_on_where_it_was(
    how: signal.Signals, eight_films: Path, tmp_path: Path
) -> None:
    data, told = tmp_path / "data", tmp_path / "stderr"
    with told.open("wb") as stderr, open(os.devnull, "wb") as nothing:
        process = preloaded.start(
            ["storyhash", "index", str(eight_films), "--data", str(data), *OFFLINE],
            env=environment(),
            cwd=ROOT,
            stdout=nothing,
            stderr=stderr,
            new_session=True,
        )
    deadline = time.monotonic() + 600
    while ready_videos(data) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As Ctrl-C does: the signal reaches every process of the terminal's group.
    os.killpg(process.pid, how)
    assert process.wait(300) == (-signal.SIGKILL if how is signal.SIGKILL else 130)
    if how is not signal.SIGKILL:
        assert "run the same command again to resume" in told.read_text()
        assert "Traceback" not in told.read_text()
    done = ready_videos(data)
    assert 3 <= done < 8
    run = storyhash("index", eight_films, "--data", data, "--json")
    assert run.exit_code == 0, run.stderr
    assert (run.json["unchanged"], run.json["indexed"]) == (done, 8 - done)
    answers = storyhash("match", eight_films, "--data", data, "--json").lines
    assert [one["matches"][0]["video_id"] for one in answers] == [f"{n:02}.mp4" for n in range(8)]


def test_a_full_disk_is_said_and_loses_nothing(films: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(mount)], capture_output=True
    )
    if mounted.returncode:
        skip_or_fail("mount", "run as a user who may mount a tmpfs")
    try:
        data = mount / "data"
        first = storyhash("index", films / "a.mp4", "--data", data, *OFFLINE)
        assert first.exit_code == 0, first.stderr
        filler = mount / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        full = storyhash("index", films, "--data", data, "--json")
        assert full.exit_code == 3, full.stdout + full.stderr
        assert "free some disk space" in full.stderr
        filler.unlink()
        again = storyhash("index", films, "--data", data, "--json")
        assert again.exit_code == 0, again.stderr
        answer = storyhash("match", films / "a.mp4", films / "c.mov", "--data", data, "--json")
        assert [one["matches"][0]["video_id"] for one in answer.lines] == ["a.mp4", "c.mov"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_frame_folders_and_manifests_are_indexed(films: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "catalogue.jsonl"
    manifest.write_text(
        f'{{"video_id": "first", "uri": "{films / "a.mp4"}", "title": "A film", '
        '"bank": "news", "metadata": {"year": 1999}}\n'
    )
    data = tmp_path / "data"
    run = storyhash("index", manifest, "--data", data, *OFFLINE, start=preloaded.start_python)
    assert run.exit_code == 0, run.stderr
    shown = storyhash("videos", "show", "first", "--data", data, "--json").json
    assert (shown["title"], shown["bank"]) == ("A film", "news")
    assert shown["metadata"] == {"year": 1999}


def test_a_catalogue_on_a_server_is_refused_when_it_is_not_public(tmp_path: Path) -> None:
    run = storyhash("index", "http://127.0.0.1:9/film.mp4", "--data", tmp_path / "data", *OFFLINE)
    assert run.exit_code == 1
    (failed,) = run.json["failed"]
    assert failed["code"] == "fetch"
    # A line that begins with the address does not repeat it.
    said = f"{failed['uri']}: not indexed: {failed['message'].removeprefix(failed['uri'] + ': ')}"
    assert said in run.stderr.splitlines()


def test_odd_and_unreadable_things_in_a_folder_hide_no_film(films: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "films", tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for number in (1, 2):
        (folder / f"backdrop{number}.jpg").write_bytes(b"a picture")
    odd = "two\nlines\x1b[2J 🎬.mp4"
    shutil.copyfile(films / "a.mp4", folder / "sub" / odd)
    shutil.copyfile(films / "a.mp4", folder / "no suffix")
    (folder / "player.ts").write_text("export {}\n")
    (folder / "caf\udce9.mp4").write_bytes(b"x")
    (folder / "gone.mp4").symlink_to("nowhere")
    run = storyhash("index", folder, "--data", data, "--profile", "offline", "--json")
    assert run.exit_code == 1
    assert run.json["indexed"] == 2
    assert {one["code"] for one in run.json["failed"]} == {"name", "unreadable"}
    assert {one["what"] for one in run.json["passed_over"]} == {".jpg", ".ts"}
    again = storyhash("index", folder, "--data", data)
    assert again.exit_code == 1
    assert "\x1b" not in again.stdout + again.stderr
    listed = storyhash("videos", "list", "--data", data)
    assert len(listed.stdout.splitlines()) == 2
    assert r"two\nlines\x1b[2J 🎬.mp4" in listed.stdout
    assert storyhash("videos", "show", f"sub/{odd}", "--data", data).exit_code == 0
    piped = subprocess.run(
        f"{shlex.join(command('videos', 'list', '--data', data))} | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=environment(),
        check=False,
    )
    assert piped.returncode == 0
    # The library moves, and nothing is embedded again.
    folder.rename(tmp_path / "moved")
    moved = storyhash("index", tmp_path / "moved", "--data", data, "--json").json
    assert (moved["indexed"], moved["segments"], len(moved["moved"])) == (0, 0, 2)
    assert storyhash("videos", "show", "no suffix", "--data", data, "--json").json["uri"] == str(
        tmp_path / "moved" / "no suffix"
    )
    for arguments in (("index", ""), ("match", " ")):
        refused = storyhash(*arguments, "--data", data)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "use . for the current folder" in refused.stderr
