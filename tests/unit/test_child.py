"""A child process that is slow, silent, greedy or dead costs its own job and nothing else."""

from __future__ import annotations

import gc
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from common.child import Child, ChildLimits
from common.errors import (
    DecoderCrashedError,
    NoFramesError,
    VideoError,
    VideoLimitError,
    VideoTimeoutError,
)

LIMITS = ChildLimits(stall_seconds=1.5, wall_seconds=3.0, memory_mib=256)


def work(job: str) -> Iterator[str]:
    """What the child does; each job behaves badly in its own way."""
    yield f"{job} begun"
    if job == "hang":
        time.sleep(3600)
    elif job == "drip":
        while True:
            time.sleep(0.2)
            yield "drop"
    elif job == "eat":
        hoard = [bytearray(1 << 26) for _ in range(64)]
        yield str(len(hoard))
    elif job == "ours":
        raise NoFramesError("nothing in it")
    elif job == "foreign":
        raise ZeroDivisionError("a slip")
    elif job == "die":
        raise SystemExit(7)
    elif job == "die in a message":
        # A message that says it has 1000 bytes, and has 10.
        (pipe,) = (one for one in gc.get_objects() if isinstance(one, Connection))
        os.write(pipe.fileno(), struct.pack("!i", 1000) + bytes(10))
        os.kill(os.getpid(), signal.SIGKILL)
    yield f"{job} done"


@pytest.fixture(scope="module")
def child() -> Iterator[Child[str, str]]:
    made: Child[str, str] = Child(work, LIMITS)
    yield made
    made.close()


def test_results_come_in_order_and_the_child_serves_again(child: Child[str, str]) -> None:
    assert list(child.run("one")) == ["one begun", "one done"]
    pid = child.pid
    assert list(child.run("two")) == ["two begun", "two done"]
    assert child.pid == pid


def test_a_child_outlives_the_thread_that_started_it() -> None:
    child: Child[str, str] = Child(work, LIMITS)
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
        "from common.child import Child\n"
        "from tests.unit.test_child import LIMITS, work\n"
        "if __name__ == '__main__':\n"
        "    child = Child(work, LIMITS)\n"
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
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert parent.stdout is not None
        with parent, parent.stdout:
            pid = int(parent.stdout.readline())
            parent.kill()
    for _ in range(200):
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
    ],
)
def test_a_bad_job_is_told_and_the_next_one_runs(
    child: Child[str, str], job: str, error: type[VideoError], said: str
) -> None:
    with pytest.raises(error, match=said):
        list(child.run(job))
    assert list(child.run("next")) == ["next begun", "next done"]


def test_leaving_a_job_half_way_kills_the_child(child: Child[str, str]) -> None:
    run = child.run("drip")
    assert next(run) == "drip begun"
    run.close()  # type: ignore[attr-defined]
    assert child.pid is None
    assert list(child.run("next")) == ["next begun", "next done"]
