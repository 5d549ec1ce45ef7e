"""A child process that is slow, silent, greedy or dead costs its own job and nothing else."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.cancellation import Cancellation
from common.errors import (
    CancelledError,
    DecoderCrashedError,
    NoFramesError,
    VideoError,
    VideoLimitError,
    VideoTimeoutError,
)
from common.sandbox import clock as child_clock
from common.sandbox.codec import Codec
from common.sandbox.limits import ChildLimits
from common.sandbox.process import Beat, Child


def encode_text(text: str) -> list[bytes]:
    return [text.encode()]


def decode_text(data: memoryview) -> str:
    return bytes(data).decode()


class Evil:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (EVIL_MARK,)


EVIL_MARK = f"/tmp/storyhash-test-evil-{os.getpid()}"


def pickled_message(kind: bytes) -> bytes:
    content = pickle.dumps(Evil())
    return struct.pack("!cQ", kind, len(content)) + content


LIMITS = ChildLimits(stall_seconds=300, wall_seconds=600, memory_mib=256)
# Where a limit of time is the subject.
HASTY = ChildLimits(stall_seconds=1.5, wall_seconds=3.0, memory_mib=256)
TEXT: Codec[str] = Codec(encode_text, decode_text, 1 << 20)


def work(job: str, beat: Beat) -> Iterator[str]:
    """What the child does; each job behaves badly in its own way."""
    yield f"{job} begun"
    if job == "hang":
        time.sleep(3600)
    elif job == "drip":
        while True:
            time.sleep(0.2)
            yield "drop"
    elif job == "slow":
        # Twice as long as a silence may be, and never silent.
        for _ in range(60):
            time.sleep(0.1)
            beat()
    elif job == "eat":
        hoard = [bytearray(1 << 26) for _ in range(64)]
        yield str(len(hoard))
    elif job == "ours":
        raise NoFramesError("nothing in it")
    elif job == "foreign":
        raise ZeroDivisionError("a slip")
    elif job == "escape":
        raise NoFramesError("a\x1b[31m\nb")
    elif job == "die":
        raise SystemExit(7)
    elif job in RAW:
        os.write(pipe_of_this_process(), RAW[job])
        if job.startswith("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3600)
    yield f"{job} done"


def pipe_of_this_process() -> int:
    return int(sys.argv[1])


# What no sound child writes.
RAW = {
    "die in a message": struct.pack("!cQ", b"o", 1000) + bytes(10),
    "garbage": b"\xff" * 64,
    "endless": struct.pack("!cQ", b"o", 1 << 62),
    "large error": struct.pack("!cQ", b"e", 1 << 20),
    "no text": struct.pack("!cQ", b"o", 1) + b"\xff",
    "no error": struct.pack("!cQ", b"e", 1) + b"\xc0",
    "half a message": struct.pack("!cQ", b"o", 1000),
    "ready again": struct.pack("!cQ", b"r", 0),
    "a job back": struct.pack("!cQ", b"j", 0),
    "pickle": pickled_message(b"o"),
    "pickled error": pickled_message(b"e"),
}


@pytest.fixture(scope="module")
def child() -> Iterator[Child[str, str]]:
    made: Child[str, str] = Child(work, LIMITS, TEXT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hasty_child() -> Iterator[Child[str, str]]:
    made: Child[str, str] = Child(work, HASTY, TEXT)
    yield made
    made.close()


@pytest.mark.usefixtures("own_interpreters")
def test_results_come_in_order_and_the_child_serves_again(child: Child[str, str]) -> None:
    assert list(child.run("one")) == ["one begun", "one done"]
    pid = child.pid
    assert list(child.run("two")) == ["two begun", "two done"]
    assert child.pid == pid


@pytest.mark.usefixtures("own_interpreters")
def test_a_child_leaves_signals_of_a_whole_service_to_its_parent(child: Child[str, str]) -> None:
    results = child.run("first")
    assert next(results) == "first begun"
    assert child.pid is not None
    os.kill(child.pid, signal.SIGTERM)
    assert list(results) == ["first done"]


def test_a_child_outlives_the_thread_that_started_it() -> None:
    child: Child[str, str] = Child(work, LIMITS, TEXT)
    try:
        found: list[str] = []
        starter = threading.Thread(target=lambda: found.extend(child.run("one")))
        starter.start()
        starter.join()
        pid = child.pid
        time.sleep(0.2)
        assert list(child.run("two")) == ["two begun", "two done"]
        assert child.pid == pid
    finally:
        child.close()


def test_a_child_does_not_outlive_its_parent_that_was_killed() -> None:
    code = (
        "import os, sys, time\n"
        "from common.sandbox.process import Child\n"
        "from tests.unit.common.sandbox.test_process import LIMITS, TEXT, work\n"
        "if __name__ == '__main__':\n"
        "    child = Child(work, LIMITS, TEXT)\n"
        "    results = child.run('drip')\n"
        "    next(results)\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(code)
        script.flush()
        parent = subprocess.Popen(
            [sys.executable, script.name],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        )
        assert parent.stdout is not None
        with parent, parent.stdout:
            pid = int(parent.stdout.readline())
            parent.kill()
    for _ in range(6000):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


@pytest.mark.parametrize(
    ("job", "error", "said"),
    [
        ("hang", VideoTimeoutError, "STALL_SECONDS"),
        ("drip", VideoTimeoutError, "WALL_SECONDS"),
        ("eat", VideoLimitError, "MEMORY_MIB"),
        ("ours", NoFramesError, "nothing in it"),
        ("foreign", VideoError, "ZeroDivisionError: a slip"),
        ("die", DecoderCrashedError, "exit code 7"),
        ("die in a message", DecoderCrashedError, "SIGKILL"),
        ("garbage", DecoderCrashedError, "an invalid result"),
        ("endless", DecoderCrashedError, "an invalid result"),
        ("large error", DecoderCrashedError, "an invalid result"),
        ("no text", DecoderCrashedError, "an invalid result"),
        ("no error", DecoderCrashedError, "an invalid result"),
        ("ready again", DecoderCrashedError, "an invalid result"),
        ("a job back", DecoderCrashedError, "an invalid result"),
        ("pickled error", DecoderCrashedError, "an invalid result"),
        ("pickle", DecoderCrashedError, "an invalid result"),
        ("half a message", VideoTimeoutError, "STALL_SECONDS"),
        ("escape", NoFramesError, r"^a \[31m b$"),
    ],
)
def test_a_bad_job_is_told_and_the_next_one_runs(
    child: Child[str, str],
    hasty_child: Child[str, str],
    job: str,
    error: type[VideoError],
    said: str,
) -> None:
    used = hasty_child if error is VideoTimeoutError else child
    with pytest.raises(error, match=said):
        list(used.run(job))
    assert list(used.run("next")) == ["next begun", "next done"]


def test_a_job_that_hangs_ends_once_its_result_is_no_longer_wanted(child: Child[str, str]) -> None:
    cancellation = Cancellation()
    run = child.run("hang", cancellation.check)
    assert next(run) == "hang begun"
    cancellation.cancel()
    with pytest.raises(CancelledError):
        next(run)
    assert child.pid is None
    assert list(child.run("again")) == ["again begun", "again done"]


def test_leaving_a_job_half_way_kills_the_child(child: Child[str, str]) -> None:
    run = child.run("drip")
    assert next(run) == "drip begun"
    run.close()
    assert child.pid is None
    assert list(child.run("next")) == ["next begun", "next done"]


def test_nothing_a_child_sends_is_unpickled(child: Child[str, str]) -> None:
    for job in ("pickle", "pickled error"):
        with pytest.raises(DecoderCrashedError):
            list(child.run(job))
    assert not Path(EVIL_MARK).exists()


def test_signs_of_life_let_work_be_slow() -> None:
    patient = ChildLimits(stall_seconds=3.0, wall_seconds=600, memory_mib=256)
    child: Child[str, str] = Child(work, patient, TEXT)
    try:
        assert list(child.run("slow")) == ["slow begun", "slow done"]
    finally:
        child.close()


class SlowImport:
    """Takes longer to arrive in the child than a silence may last."""

    def __call__(self, job: str, beat: Beat) -> Iterator[str]:
        yield job

    def __setstate__(self, state: object) -> None:
        time.sleep(2.5)

    def __getstate__(self) -> object:
        return {"slow": True}


def test_the_start_has_a_bound_of_its_own() -> None:
    child: Child[str, str] = Child(SlowImport(), HASTY, TEXT)
    try:
        assert list(child.run("one")) == ["one"]
    finally:
        child.close()
    hasty = ChildLimits(stall_seconds=60, wall_seconds=60, memory_mib=256, start_seconds=0.5)
    child = Child(SlowImport(), hasty, TEXT)
    with pytest.raises(VideoTimeoutError, match="START_SECONDS"):
        list(child.run("one"))
    assert child.pid is None


@pytest.mark.usefixtures("own_interpreters")
def test_a_child_that_cannot_start_says_so() -> None:
    child: Child[str, str] = Child(BrokenImport(), LIMITS, TEXT)
    with pytest.raises(DecoderCrashedError, match="did not start"):
        list(child.run("one"))


class BrokenImport(SlowImport):
    def __setstate__(self, state: object) -> None:
        raise SystemExit(3)


def test_time_in_which_the_child_was_kept_from_running_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, queued = [100.0], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(child_clock, "_queued_seconds", lambda pid: queued[0])
    clock = child_clock.ChildClock(1)
    now[0] += 0.5
    assert clock.lap() == pytest.approx(0.5)
    now[0] += 0.5
    queued[0] += 0.4
    assert clock.lap() == pytest.approx(0.1)
    # A parent that slept for an hour has not looked for an hour.
    now[0] += 3600
    assert clock.lap() == pytest.approx(1.0)
    # However long it waits, some of it counts.
    now[0] += 1.0
    queued[0] += 1.0
    assert clock.lap() == pytest.approx(0.1)
