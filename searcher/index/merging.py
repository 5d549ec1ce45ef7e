"""Runs the merges of a shard in the background: a short one and a long one at the same time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from common.settings import SearcherSettings
from searcher.index import graph_release
from searcher.index.delta_merge import Merge, build, due_long, due_short, merged_state
from searcher.index.state import State

Kind: TypeAlias = Literal["long", "short"]

_log = logging.getLogger("storyhash.shard")


class Merging:
    """Starts merges that are due, at most one of each kind, and swaps their graphs in.

    current, swap: read and replace the state of the shard. lock: held for every change of it.
    """

    def __init__(
        self,
        settings: SearcherSettings,
        lock: threading.RLock,
        current: Callable[[], State],
        swap: Callable[[State], None],
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._current = current
        self._swap = swap
        self._running: dict[Kind, threading.Thread] = {}
        # Number of parts that the long merge is joining.
        self._taken = 0
        self._closing = threading.Event()
        self._troubles: dict[Kind, str] = {}
        # Number of merges that have ended well.
        self.ended = 0

    @property
    def trouble(self) -> str:
        """Why the last merge failed; empty if it succeeded."""
        return next(iter(self._troubles.copy().values()), "")

    def start_due(self, *, idle: bool = False) -> None:
        """Start the merges that are due. idle: see `due_long` and `due_short`."""
        with self._lock:
            if self._closing.is_set():
                return
            # A short merge may be adding to the last graph, so a long one waits for its end.
            if not self._running:
                merge = due_long(self._current(), self._settings, idle=idle)
                if merge is not None:
                    self._taken = len(merge.joined)
                    self._start("long", merge)
            if "short" not in self._running:
                merge = due_short(self._current(), self._settings, self._taken, idle=idle)
                if merge is not None:
                    self._start("short", merge)

    def wait(self) -> None:
        """Wait until no merge is running."""
        while True:
            with self._lock:
                threads = list(self._running.values())
            if not threads:
                return
            threads[0].join()

    def close(self) -> None:
        """Stop merges, and start no more."""
        self._closing.set()
        self.wait()

    def _start(self, kind: Kind, merge: Merge) -> None:
        graph_release.start()
        # The thread needs the lock before it ends, so it is always registered first.
        thread = threading.Thread(
            target=self._merge, args=(kind, merge), name=f"shard-{kind}-merge"
        )
        thread.start()
        self._running[kind] = thread

    def _merge(self, kind: Kind, merge: Merge) -> None:
        built = None
        try:
            built = build(merge, self._settings, self._closing)
            if built is not None:
                with self._lock:
                    self._swap(merged_state(self._current(), merge, built))
                    self._troubles.pop(kind, None)
                    self.ended += 1
        except Exception as error:
            built = None
            self._troubles[kind] = (
                f"building the graph failed ({type(error).__name__}); new vectors are "
                "searched exactly until the next change retries it; see the log"
            )
            _log.exception(
                "building the graph failed; searches use the old graph, and the next "
                "change retries it"
            )
        finally:
            with self._lock:
                del self._running[kind]
                if kind == "long":
                    self._taken = 0
                if built is not None:
                    self.start_due()
