"""How a command ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from common.errors import StorageError, UsageError, VideoError
from common.logs import start_logging
from storyhash.cli.shared import console
from storyhash.cli.shared.console import check_interrupt, print_json, run_guarded
from storyhash.cli.shared.shutdown import asked_to_stop

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    # Under nohup it is ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    console.interrupt_requested.clear()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VideoError("bad"), 1),
        (UsageError("wrong"), 2),
        (StorageError("full"), 3),
        (OSError(28, "No space left on device"), 3),
        (OSError(13, "Permission denied"), 1),
        (OSError(30, "Read-only file system"), 3),
        (ZeroDivisionError("bug"), 1),
        (UnicodeEncodeError("utf-8", "b\udcff", 1, 2, "surrogates not allowed"), 2),
        (KeyboardInterrupt(), 130),
        (SystemExit(7), 7),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    def fail() -> None:
        raise error

    assert run_guarded(fail, debug=False) == code


@pytest.mark.parametrize(
    ("number", "advice"),
    [(28, "free some disk space"), (30, "choose a folder"), (13, "correct the permissions")],
)
def test_an_error_of_the_system_says_what_to_do(
    number: int, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "film.mp4")

    run_guarded(fail, debug=False)
    assert f"{os.strerror(number)} (film.mp4): {advice}" in capsys.readouterr().err


@pytest.mark.parametrize("number", STOPS)
def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_look(number: signal.Signals) -> None:
    def command() -> None:
        # What a finaliser does to an exception.
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        check_interrupt()

    assert run_guarded(command, debug=False) == 130


def test_a_closed_terminal_ends_no_command_under_nohup() -> None:
    def command() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        check_interrupt()

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert run_guarded(command, debug=False) == 0


@pytest.mark.parametrize("number", STOPS)
def test_a_service_does_not_start_after_an_interrupt_that_was_swallowed(
    number: signal.Signals,
) -> None:
    begun = []

    def serve() -> None:
        # What the callback of an import lock does to an exception.
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        with asked_to_stop():
            begun.append(number)

    assert run_guarded(serve, debug=False) == 130
    assert begun == []


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert run_guarded(lambda: os.kill(os.getpid(), signal.SIGHUP), debug=False) == 0


def test_nothing_that_is_printed_moves_a_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        console.out.print("two\nlines \x1b[2J", "\u202efilm", markup=False)
        print_json({"title": "\x9b31m \u202e 👩‍👩‍👧 \udcff"})
        raise VideoError("a\x1b]0;owned\x07.mp4:\nno video")

    assert run_guarded(fail, debug=False) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        r"two\nlines \x1b[2J \u202efilm",
        r'{"title": "\u009b31m \u202e 👩‍👩‍👧 \\udcff"}',
    ]
    assert captured.err == "error: a\\x1b]0;owned\\x07.mp4: no video\n"


def test_a_log_line_is_one_line_and_says_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger().handlers
    start_logging()
    try:
        try:
            raise ValueError("\x1b[2J")
        except ValueError:
            logging.getLogger("storyhash.test").warning(
                "%s: damaged", "a\n2026 INFO forged\x1b[2J", exc_info=True
            )
    finally:
        logging.getLogger().handlers = before
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(r"a\n2026 INFO forged\x1b[2J: damaged")
    assert lines[1].startswith("Traceback")
    assert lines[-1] == r"ValueError: \x1b[2J"


# The output of this is larger than any pipe's buffer, and its reader leaves after one line.
COMMANDS = {
    "rich": "for i in range(20_000): console.out.print(f'line {i}')",
    "json": "for i in range(20_000): console.print_json({'line': i})",
    "click": "[typer.echo(f'line {i}') for i in range(20_000)]",
    "buffered": "print('a line')\n    time.sleep(0.5)\n    print('another')",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_leaves_early_is_no_failure(name: str) -> None:
    code = (
        "import sys, time, typer\n"
        "from storyhash.cli.shared import console\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        f"def run() -> None:\n    {COMMANDS[name]}\n"
        "sys.exit(console.run_guarded(app, debug=False))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if name != "buffered":
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


PRINTS = (
    "from storyhash.cli.shared import console\n"
    "def run() -> None:\n"
    "    console.out.print('\U0001f3ac.mp4', markup=False)\n"
    "    console.print_json({'id': '\U0001f3ac'})\n"
    "    console.err.print('done')\n"
    "raise SystemExit(console.run_guarded(run, debug=False))\n"
)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(closed: str) -> None:
    run = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, PRINTS],
        capture_output=True,
        check=False,
    )
    assert (run.returncode, b"Traceback" in run.stderr) == (0, False)


def test_a_locale_without_a_character_gets_an_escape_and_valid_json() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PRINTS],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert run.stdout.decode("ascii").splitlines() == [
        r"\U0001f3ac.mp4",
        r'{"id": "\ud83c\udfac"}',
    ]
