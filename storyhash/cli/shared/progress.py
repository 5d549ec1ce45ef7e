"""Shows progress: a bar on a terminal, otherwise a line every ten seconds.

Both go to standard error and show the same: steps done, rate, time left, and the current file.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.table import Column
from rich.text import Text

from common.printable import printable
from storyhash.cli.shared.console import err

PLAIN_SECONDS = 10.0
# Before this time the rate is not meaningful.
_MIN_SECONDS = 1.0
_NAME_WIDTH = 40
# Columns of a terminal that has room for a bar.
_BAR_FROM_WIDTH = 80


class Task:
    """A piece of work with `total` steps; the total may grow. One thread may change it while another one
    reads `line`."""

    def __init__(
        self,
        description: str,
        total: int,
        names: Sequence[str] = (),
        *,
        unit: str = "videos",
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[Task], None] = lambda task: None,
    ) -> None:
        """names: of the steps, in the order in which they start. unit: what a step is, for the rate."""
        self.description = description
        self.total = total
        self.done = 0
        self._names = names
        self._finished: set[str] = set()
        self._first = 0
        self._unit = unit
        self._clock = clock
        self._started = clock()
        self._video_seconds = 0.0
        self._on_change = on_change

    def advance(self, steps: int = 1, *, name: str = "", video_seconds: float = 0.0) -> None:
        """Count `steps` steps. name: the step that ended. video_seconds: length of its video."""
        self.done += steps
        self._video_seconds += video_seconds
        if name:
            self._finished.add(name)
        while self._first < len(self._names) and self._names[self._first] in self._finished:
            self._first += 1
        self._on_change(self)

    @property
    def is_done(self) -> bool:
        return self.done >= self.total

    @property
    def name(self) -> str:
        """The first step that has not ended. A long name is cut at its beginning, because ends of paths
        differ most."""
        name = printable(self._names[self._first]) if self._first < len(self._names) else ""
        return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]

    @property
    def rate(self) -> str:
        """Seconds of video per second if known, otherwise steps per minute."""
        elapsed = self._clock() - self._started
        if not self.done or elapsed < _MIN_SECONDS:
            return ""
        if self._video_seconds:
            return f"{self._video_seconds / elapsed:.1f}x real time"
        return f"{60 * self.done / elapsed:.1f} {self._unit} per minute"

    @property
    def left(self) -> str:
        """The estimated time left, at the current rate."""
        elapsed = self._clock() - self._started
        if not self.done or self.is_done or elapsed < _MIN_SECONDS:
            return ""
        return f"{_duration(elapsed / self.done * (self.total - self.done))} left"

    @property
    def line(self) -> str:
        """Steps, rate, time left and name in one line."""
        parts = (f"{self.description} {self.done}/{self.total}", self.rate, self.left, self.name)
        return ", ".join(filter(None, parts))


def progress() -> Bars | PlainLines:
    """Bars if standard error is a terminal that can move its cursor, otherwise plain lines."""
    return Bars() if can_draw_bars() else PlainLines()


def can_draw_bars() -> bool:
    """Whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and not err.is_dumb_terminal


class _NameColumn(ProgressColumn):
    """The name of a task, cut where the terminal ends."""

    def render(self, task: RichTask) -> Text:
        return Text(task.fields["name"], no_wrap=True, overflow="ellipsis")


class Bars:
    """Progress bars on a terminal. They are removed when the command ends."""

    def __init__(self) -> None:
        # Rich narrows all columns that may wrap alike: only the name may.
        bar = BarColumn(bar_width=20, table_column=Column(no_wrap=True))
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            *([bar] if err.width >= _BAR_FROM_WIDTH else []),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            _NameColumn(),
            console=err,
            transient=True,
            # Output that is piped to a program must not be drawn on the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def task(
        self, description: str, total: int, names: Sequence[str] = (), *, unit: str = "videos"
    ) -> Task:
        number: TaskID | None = None

        def show(task: Task) -> None:
            if number is not None:
                self._bars.update(number, completed=task.done, total=task.total, **_fields(task))

        task = Task(description, total, names, unit=unit, on_change=show)
        number = self._bars.add_task(printable(description), total=total, **_fields(task))
        return task


def _fields(task: Task) -> dict[str, Any]:
    return {"rate": task.rate, "left": task.left, "name": task.name}


class PlainLines:
    """Prints a line about the newest unfinished task at regular intervals."""

    def __init__(self, every_seconds: float = PLAIN_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._tasks: list[Task] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def task(
        self, description: str, total: int, names: Sequence[str] = (), *, unit: str = "videos"
    ) -> Task:
        task = Task(description, total, names, unit=unit)
        self._tasks.append(task)
        return task

    def _print(self) -> None:
        while not self._ended.wait(self._every_seconds):
            unfinished = [task for task in self._tasks if not task.is_done]
            if unfinished:
                err.print(unfinished[-1].line, markup=False)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
