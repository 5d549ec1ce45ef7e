"""The segment of each row of the shard, in growing columns.

With a million rows, objects would take several times the memory and slow down the garbage collector. So a
`SegmentRef` is created only on request.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from common.types import BoolArray, Float32Array, Int64Array, SegmentRef
from searcher.index.array_growth import grown
from searcher.index.hit_fields import HitFields, hit_fields

# Rows handled at once: NumPy holds Python's interpreter lock meanwhile, half a millisecond.
_ROWS = 65_536

COLUMNS = np.dtype(
    [
        ("video", "<i4"),
        ("bank", "<i4"),
        ("version", "<i8"),
        ("start_seconds", "<f8"),
        ("end_seconds", "<f8"),
    ]
)


class StringTable:
    """Maps strings to numbers and back."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = list(texts)
        # An empty string is the place of one that is not used any more.
        self._numbers = {text: number for number, text in enumerate(self.texts) if text}

    def number(self, text: str) -> int:
        """The number of a string; a new string gets the next number."""
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number

    def known(self, texts: Iterable[str]) -> list[int]:
        """The numbers of those strings that have one."""
        return [self._numbers[text] for text in texts if text in self._numbers]


class RowTable:
    """Shared by all states with the same row numbers. Existing rows never change, so readers may
    use those below their state's total while one writer appends."""

    def __init__(
        self,
        table: npt.NDArray[Any] | None = None,
        videos: Iterable[str] = (),
        banks: Iterable[str] = (),
    ) -> None:
        """table: COLUMNS (n,), where `video` and `bank` are numbers of these texts; a negative
        video means none. Raises IndexError for an unknown number."""
        self._table = np.zeros(0, COLUMNS) if table is None else table
        self._videos, self._banks = StringTable(videos), StringTable(banks)
        # Every row of a video, also deleted ones: readers of older states still need them.
        self._of_video: dict[str, tuple[int, ...]] = {}
        named = np.flatnonzero(self._table["video"] >= 0)
        numbers = self._table["video"][named]
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        for rows in np.split(named[order], starts[1:]) if len(named) else ():
            name = self._videos.texts[self._table["video"][rows[0]]]
            self._of_video[name] = tuple(rows.tolist())
        if len(named) and int(self._table["bank"].max()) >= len(self._banks.texts):
            raise IndexError("a row's bank has no name")
        # Increasing rows of each bank in a growing array, and how many of its elements are set.
        self._of_bank: dict[int, tuple[Int64Array, int]] = {}
        self._note_banks(named)

    def put(self, start: int, refs: Sequence[SegmentRef]) -> None:
        """Set the segments of new rows from `start` on; no state may hold them yet."""
        stop = start + len(refs)
        self._table = grown(self._table, start, stop)
        self._table[start:stop] = [
            (
                self._videos.number(ref.video_id),
                self._banks.number(ref.bank),
                ref.version,
                ref.start_seconds,
                ref.end_seconds,
            )
            for ref in refs
        ]
        self._note_banks(np.arange(start, stop))
        fresh: dict[str, list[int]] = {}
        for row, ref in enumerate(refs, start):
            fresh.setdefault(ref.video_id, []).append(row)
        for video_id, rows in fresh.items():
            older = (row for row in self._of_video.get(video_id, ()) if row < start)
            self._of_video[video_id] = (*older, *rows)

    def refs(self, rows: Int64Array) -> list[SegmentRef]:
        """The segments of rows."""
        videos, banks = self._videos.texts, self._banks.texts
        return [
            SegmentRef(videos[video], start, end, version, banks[bank])
            for video, bank, version, start, end in self._table[rows].tolist()
        ]

    def hits(self, rows: Int64Array, scores: Float32Array) -> Iterator[HitFields]:
        """The segments of rows, with a score each, as the fields of an answer."""
        videos, banks = self._videos.texts, self._banks.texts
        for (video, bank, version, start, end), score in zip(
            self._table[rows].tolist(), scores.tolist(), strict=True
        ):
            yield hit_fields(videos[video], start, end, version, banks[bank], score)

    def of_video(self, video_id: str, alive: BoolArray) -> Int64Array:
        """Live rows of a video in insertion order. alive: bool (total,), of the reader's state."""
        rows = np.array(self._of_video.get(video_id, ()), dtype=np.int64)
        rows = rows[rows < len(alive)]
        return rows[alive[rows]]

    def of_banks(self, banks: Iterable[str], start: int, stop: int) -> Int64Array:
        """Rows of [start, stop) in these banks, including deleted rows; increasing within each bank."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._in_banks(banks, start, stop)])

    def count_of_banks(self, banks: Iterable[str], start: int, stop: int) -> int:
        """Number of rows of [start, stop) in these banks, including deleted rows."""
        return sum(map(len, self._in_banks(banks, start, stop)))

    def _in_banks(self, banks: Iterable[str], start: int, stop: int) -> list[Int64Array]:
        found = []
        for bank in self._banks.known(banks):
            rows, count = self._of_bank.get(bank, (np.zeros(0, dtype=np.int64), 0))
            first, last = np.searchsorted(rows[:count], (start, stop))
            found.append(rows[first:last])
        return found

    def match(
        self,
        rows: Int64Array,
        banks: Iterable[str] | None,
        without: Iterable[str],
        without_banks: Iterable[str] = (),
    ) -> BoolArray:
        """bool, shape of `rows`: whether the row's video is in one of these banks (None: any), and
        neither in `without` nor in a bank in `without_banks`."""
        found = np.ones(rows.shape, dtype=bool)
        if banks is not None:
            found &= _is_one_of(self._table["bank"][rows], self._banks.known(banks))
        if without:
            found &= ~_is_one_of(self._table["video"][rows], self._videos.known(without))
        if without_banks:
            found &= ~_is_one_of(self._table["bank"][rows], self._banks.known(without_banks))
        return found

    def some_videos(self, count: int, alive: BoolArray, rng: random.Random) -> list[str]:
        """Ids of `count` random videos with a live row; fewer if there are fewer."""
        names, found = self._videos.texts, list[str]()
        # Most videos have live rows, so a few more than wanted are enough.
        for tried in (min(2 * count, len(names)), len(names)):
            chosen = (names[number] for number in rng.sample(range(len(names)), tried))
            living = (name for name in chosen if len(self.of_video(name, alive)))
            found = list(islice(living, count))
            if len(found) == count:
                break
        return found

    def videos(self, alive: BoolArray) -> tuple[list[str], Int64Array, Int64Array]:
        """The ids of all videos with a live row, their versions, and their numbers of live rows."""
        living = np.flatnonzero(alive)
        numbers, first, counts = np.unique(
            self._table["video"][living], return_index=True, return_counts=True
        )
        names = [self._videos.texts[number] for number in numbers.tolist()]
        return names, self._table["version"][living[first]], counts

    def kept(self, rows: Int64Array) -> RowTable:
        """A table of only these rows, renumbered in the given order; unused names are dropped."""
        table = self._table[rows]
        names = []
        for column, known in (("video", self._videos), ("bank", self._banks)):
            used, numbers = np.unique(table[column], return_inverse=True)
            table[column] = numbers
            names.append([known.texts[number] for number in used.tolist()])
        return RowTable(table, *names)

    def part(self, start: int, stop: int, alive: BoolArray) -> npt.NDArray[Any]:
        """The constructor's table for rows [start, stop); deleted rows have no video. alive: bool
        (stop - start,)."""
        table = np.zeros(stop - start, COLUMNS)
        table["video"] = -1
        table[alive] = self._table[start:stop][alive]
        return table

    def names(self, alive: BoolArray) -> tuple[list[str], list[str]]:
        """The ids of videos and banks by their number; empty if no live row has the number. alive: bool
        (total,)."""
        found = []
        for column, known in (("video", self._videos), ("bank", self._banks)):
            used = np.zeros(len(known.texts), dtype=bool)
            for start in range(0, len(alive), _ROWS):
                some = slice(start, min(start + _ROWS, len(alive)))
                used[self._table[column][some][alive[some]]] = True
            found.append(
                [known.texts[at] if there else "" for at, there in enumerate(used.tolist())]
            )
        return found[0], found[1]

    def _note_banks(self, rows: Int64Array) -> None:
        """Add new rows to the lists of their banks."""
        numbers = self._table["bank"][rows]
        for bank in np.unique(numbers).tolist():
            fresh = rows[numbers == bank]
            of_bank, count = self._of_bank.get(bank, (np.zeros(0, dtype=np.int64), 0))
            # As in `put`: rows that no state has yet may be written again.
            count = int(np.searchsorted(of_bank[:count], fresh[0]))
            of_bank = grown(of_bank, count, count + len(fresh))
            of_bank[count : count + len(fresh)] = fresh
            self._of_bank[bank] = (of_bank, count + len(fresh))


def _is_one_of(column: npt.NDArray[Any], numbers: list[int]) -> BoolArray:
    if len(numbers) == 1:
        # For the few rows of one search, `isin` takes ten times as long.
        same: BoolArray = column == numbers[0]
        return same
    return np.isin(column, numbers)
