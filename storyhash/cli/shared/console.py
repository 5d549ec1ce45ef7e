"""Output and exit codes of all commands.

Standard output has only results, so that a program can read it. Messages, progress and errors go to
standard error.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from common.errors import StoryHashError
from common.printable import printable, printable_json

INTERRUPTED = 130
_FULL = (": free some disk space and run the same command again", 3)
_READ_ONLY = (": choose a folder that can be written to", 3)
_FORBIDDEN = (": correct the permissions, or choose another file or folder", 1)
# What to do about an error of the operating system, and the exit code.
_OS_ERRORS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
}


class _SafeConsole(Console):
    """A console that removes terminal control characters from all text. `print` writes one line per text;
    use `print_lines` for text of several lines."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_safe(item) for item in objects), **options)

    def print_lines(self, text: str, **options: Any) -> None:
        """Print text of several lines, written by StoryHash itself."""
        super().print(printable(text, lines=True), **options)


def _safe(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


err = _SafeConsole(stderr=True, highlight=False, soft_wrap=True)
out = _SafeConsole(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a JSON document on one line of standard output."""
    document = printable_json(json.dumps(value, ensure_ascii=False, allow_nan=False))
    try:
        # Under a progress bar, standard output does not say its encoding.
        document.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The encoding of the locale lacks a character; JSON can write it in ASCII.
        document = json.dumps(json.loads(document))
    sys.stdout.write(document + "\n")
    sys.stdout.flush()


def print_fields(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the fields of one thing, a line each, or as one JSON document."""
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        out.print(f"{name}: {value}", markup=False)


_DECISION_STYLES = {"copy": "green", "review": "yellow", "no_match": "dim"}


def decision_style(decision: str) -> str:
    """The Rich style of a decision. Rich ignores it if NO_COLOR is set or the output is not a
    terminal."""
    return _DECISION_STYLES.get(decision, "")


def notice(message: str) -> None:
    """Print a note for the user about something that is not an error."""
    err.print("note:", message, style="yellow", markup=False)


interrupt_requested = threading.Event()


def _on_interrupt(_signal: int, _frame: object) -> None:
    interrupt_requested.set()
    raise KeyboardInterrupt


def check_interrupt() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed, or another signal asked the command to end.

    Python drops an exception that is raised in a finaliser or in the callback of a weak reference. Ctrl-C
    may come at such a moment, so long loops call this function.
    """
    if interrupt_requested.is_set():
        raise KeyboardInterrupt


def run_guarded(command: Callable[[], None], *, debug: bool) -> int:
    """Run a command. Print an error in one line, and return the exit code."""
    _open_closed_streams()
    _end_in_order()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding != "utf-8":
        # A name with a character that the locale lacks is printed with an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    exit_code = _run(command, debug)
    try:
        # Errors of buffered output occur here, not while the interpreter exits.
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
    return exit_code


def _open_closed_streams() -> None:
    """Open the null device as each standard stream that the caller has closed (`>&-`). Otherwise the next
    file would get its number, and the output of a library would be written into that file."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _end_in_order() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that closes, end a command like Ctrl-C. Otherwise the next
    run takes what was in progress for work that crashed the process."""
    signal.signal(signal.SIGINT, _on_interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _on_interrupt)


def _run(command: Callable[[], None], debug: bool) -> int:
    try:
        with output_may_end():
            command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        err.print("interrupted", markup=False)
        return INTERRUPTED
    except StoryHashError as error:
        return _report(str(error), error.exit_code, debug)
    except UnicodeEncodeError as error:
        # Names of files may have such bytes; ids, banks and addresses may not.
        return _report(f"'{error.object}' is not UTF-8 text; give it as UTF-8", 2, debug)
    except OSError as error:
        hint, exit_code = _OS_ERRORS.get(error.errno or 0, ("", 1))
        file = f" ({error.filename})" if error.filename else ""
        return _report(f"{error.strerror or error}{file}{hint}", exit_code, debug)
    except Exception as error:
        return _report(
            f"internal error: {type(error).__name__}: {error}; run the command again with "
            "--debug and report the traceback",
            1,
            debug,
        )
    return 0


@contextmanager
def output_may_end() -> Iterator[None]:
    """A block that ends without an error if the reader of the output closes the pipe (`| head`). What is
    printed later goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        _write_nowhere()
    except SystemExit as stop:
        # Rich and Click exit with 1 then.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        _write_nowhere()


def _write_nowhere() -> None:
    """Redirect standard output to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str, exit_code: int, debug: bool) -> int:
    if debug:
        err.print_lines(traceback.format_exc(), markup=False)
    err.print("error:", " ".join(message.split("\n")), style="red", markup=False)
    return exit_code
