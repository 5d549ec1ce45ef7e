"""What every command shares: where words go, and how an error becomes an exit code.

Standard output carries answers alone, so that a program may read it; words for people, progress and
errors go to standard error.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from rich.console import Console

from common.errors import StoryHashError
from common.printable import printable, printable_json

INTERRUPTED = 130


class _SafeConsole(Console):
    """Prints text with nothing in it that a terminal obeys, wherever the text came from. `print` writes
    one line of its own for each text; what has several lines goes through `print_lines`."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_safe(one) for one in objects), **options)

    def print_lines(self, text: str, **options: Any) -> None:
        """Several lines that we wrote ourselves."""
        super().print(printable(text, lines=True), **options)


def _safe(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


err = _SafeConsole(stderr=True, highlight=False, soft_wrap=True)
out = _SafeConsole(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on one line of standard output."""
    document = json.dumps(value, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(printable_json(document) + "\n")
    sys.stdout.flush()


_DECISION_STYLES = {"copy": "green", "review": "yellow", "no_match": "dim"}


def decision_style(decision: str) -> str:
    """The colour of a decision on a terminal; Rich leaves it out where NO_COLOR is set or nothing is a
    terminal."""
    return _DECISION_STYLES.get(decision, "")


def notice(message: str) -> None:
    """Something the user should know, though nothing failed."""
    err.print("note:", message, style="yellow", markup=False)


_interrupted = threading.Event()


def _on_interrupt(_signal: int, _frame: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def check_interrupt() -> None:
    """Raise the KeyboardInterrupt that was lost, if one was.

    Python drops an exception raised in a finaliser or a weak reference's callback, and Ctrl-C may come
    just then; long loops ask here.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


def run_guarded(command: Callable[[], None], *, debug: bool) -> int:
    """Run a command; say what went wrong in one line and return the exit code."""
    signal.signal(signal.SIGINT, _on_interrupt)
    exit_code = _run(command, debug)
    try:
        # What is still buffered fails here, and not while the interpreter ends.
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
    return exit_code


def _run(command: Callable[[], None], debug: bool) -> int:
    try:
        command()
    except SystemExit as stop:
        # Rich and Click end with 1 when the reader of our output went away (`| head`).
        if isinstance(stop.__context__, BrokenPipeError):
            _write_nowhere()
            return 0
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        err.print("interrupted", markup=False)
        return INTERRUPTED
    except StoryHashError as error:
        return _report(str(error), error.exit_code, debug)
    except BrokenPipeError:
        # The reader of our output went away; that is no failure of ours.
        _write_nowhere()
        return 0
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        hint = ": free some disk space and run the same command again" if full else ""
        where = f" ({error.filename})" if error.filename else ""
        return _report(f"{error.strerror or error}{where}{hint}", 3 if full else 1, debug)
    except Exception as error:
        return _report(
            f"internal error: {type(error).__name__}: {error}; run the command again with "
            "--debug and report the traceback",
            1,
            debug,
        )
    return 0


def _write_nowhere() -> None:
    """Have what is still to be written go to where nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str, exit_code: int, debug: bool) -> int:
    if debug:
        err.print_lines(traceback.format_exc(), markup=False)
    err.print("error:", " ".join(message.split("\n")), style="red", markup=False)
    return exit_code
