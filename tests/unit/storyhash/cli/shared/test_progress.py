"""How far a command is, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedder.weights.download_lines import plain_progress
from storyhash.cli.shared.progress import PlainLines, Task
from tests.support.clock import Clock

ROOT = Path(__file__).parents[5]
NO_TERMINAL = {"TERM": "xterm", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}


def test_rate_time_left_and_the_first_unfinished_file_are_told() -> None:
    clock = Clock(0.0)
    task = Task("indexing", 4, ["a.mp4", "b.mp4", "c.mp4", "d.mp4"], clock=clock)
    assert task.line == "indexing 0/4, a.mp4"
    clock.now = 60.0
    task.advance(name="b.mp4", video_seconds=120.0)
    assert task.line == "indexing 1/4, 2.0x real time, 3 min left, a.mp4"
    task.advance(name="a.mp4", video_seconds=0.0)
    assert task.name == "c.mp4"
    for name in ("c.mp4", "d.mp4"):
        task.advance(name=name)
    assert task.is_done
    assert task.line == "indexing 4/4, 2.0x real time"


def test_without_seconds_of_video_the_rate_is_steps_per_minute() -> None:
    clock = Clock(0.0)
    task = Task("matching", 300, clock=clock)
    clock.now = 30.0
    task.advance(10)
    assert task.line == "matching 10/300, 20.0 videos per minute, 14 min left"


def test_a_name_is_short_and_moves_no_cursor() -> None:
    task = Task("indexing", 1, ["x" * 60 + "\x1b[2J.mp4"])
    assert task.name.endswith(r"\x1b[2J.mp4")
    assert len(task.name) == 40


def test_elsewhere_lines_are_plain_and_end_with_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlainLines(every_seconds=0.02) as bar:
        bar.task("finished", 1).advance()
        task = bar.task("indexing", 2, ["[b]one.mp4", "two.mp4"])
        said = ""
        while "one.mp4" not in said:
            said += capsys.readouterr().err
        task.advance(name="[b]one.mp4")
    said += capsys.readouterr().err
    assert said.startswith("indexing 0/2, [b]one.mp4\n")
    assert "finished" not in said
    assert not {"\r", "\x1b"} & set(said)


@pytest.mark.parametrize("disabled", [False, True])
def test_downloads_are_plain_lines_too(disabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub.utils.tqdm")
    # Loading weights disables the hub's own bars for the rest of the process.
    states = sys.modules["huggingface_hub.utils.tqdm"].progress_bar_states
    monkeypatch.setitem(states, "_global", not disabled)
    monkeypatch.setattr("embedder.weights.download_lines._EVERY_SECONDS", 0.0)
    lines: list[str] = []
    bar = plain_progress(lines.append)(total=4_000_000, desc="model.safetensors", unit="B")
    time.sleep(0.01)
    bar.update(1_000_000)
    bar.refresh()
    bar.close()
    assert lines[0].startswith("model.safetensors 1/4 MB, ")
    assert "s left" in lines[0]
    assert not {"\r", "\x1b"} & set("".join(lines))


CODE = """
import sys
from storyhash.cli.shared.console import decision_style, out, print_json
from storyhash.cli.shared.progress import progress
with progress() as bar:
    task = bar.task("matching", 2, ["a.mp4", "b.mp4"])
    print_json({"decision": "copy"})
    for decision in ("copy", "review", "no_match"):
        out.print(decision, style=decision_style(decision))
    task.advance(name="a.mp4")
"""


def on_terminal(*, stdout_too: bool, code: str = CODE, **variables: str) -> tuple[str, str]:
    """What goes to a pipe and what to a terminal that standard error, or both streams, are."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], **NO_TERMINAL, **variables}
    run = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout_too else subprocess.PIPE,
        stderr=theirs,
        env=environment,
        timeout=120,
        check=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    return (run.stdout or b"").decode(), seen.decode()


def test_results_that_are_piped_stay_off_the_terminal_while_a_bar_is_drawn_on_it() -> None:
    piped, seen = on_terminal(stdout_too=False)
    assert piped == '{"decision": "copy"}\ncopy\nreview\nno_match\n'
    assert "matching" in seen
    assert "b.mp4" in seen
    assert "decision" not in seen


def test_decisions_have_colours_on_a_terminal_unless_no_color_is_set() -> None:
    _, seen = on_terminal(stdout_too=True)
    for colour, decision in (("32", "copy"), ("33", "review"), ("2", "no_match")):
        assert f"\x1b[{colour}m{decision}\x1b[0m" in seen
    _, plain = on_terminal(stdout_too=True, NO_COLOR="1")
    assert "\x1b[32m" not in plain
    assert "\x1b[33m" not in plain
    assert "no_match" in plain


def test_on_a_narrow_terminal_the_count_stays_and_the_name_is_cut() -> None:
    names = [f"{letter * 50}.mp4" for letter in "abc"]
    code = f"""
import time
from storyhash.cli.shared.progress import progress
with progress() as bar:
    task = bar.task("indexing", 1234, {names})
    time.sleep(1.1)
    task.advance(567, name={names[0]!r}, video_seconds=12.0)
    time.sleep(0.3)
"""
    _, seen = on_terminal(stdout_too=True, code=code, COLUMNS="50", NO_COLOR="1")
    assert "indexing  567/1234" in seen
    assert "x real time" in seen
    assert names[1] not in seen
