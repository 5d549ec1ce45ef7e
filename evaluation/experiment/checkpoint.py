"""Rows as they are made, in a file that outlives an interruption: a run goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import embedder
import evaluation
import searcher
from evaluation.data.record_io import from_line, to_line
from evaluation.data.records import QueryRow

_ROOMS = (embedder, evaluation, searcher)


def code_digest() -> str:
    """Of the source that answers come from: rows made by another version are no rows of this one."""
    told = hashlib.blake2b(digest_size=8)
    for room in _ROOMS:
        for path in sorted(Path(folder) for folder in room.__path__):
            for file in sorted(path.rglob("*.py")):
                told.update(file.read_bytes())
    return told.hexdigest()


class Journal:
    """Rows of queries, by the number of the query, in one file; a context.

    A query's rows are written together and end with a line of its number. What follows the last such line
    is what a process was killed over, and is forgotten.
    """

    def __init__(self, path: Path) -> None:
        """path: named by all that decides what the rows are; whoever has the name may go on with it."""
        self.rows: dict[int, list[QueryRow]] = {}
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read()
        self._file = path.open("ab")
        self._file.truncate(whole)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, made: Mapping[int, Sequence[QueryRow]]) -> None:
        """Keep the rows of some queries."""
        for number, rows in made.items():
            self._file.writelines(map(to_line, rows))
            self._file.write(b"%d\n" % number)
            self.rows[number] = list(rows)
        self._file.flush()

    def left(self, numbers: Iterable[int]) -> list[int]:
        """Those that have no rows yet."""
        return [number for number in numbers if number not in self.rows]

    def forget(self) -> None:
        """Remove the file: its rows are kept elsewhere."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> int:
        """Read what is whole; gives its length in bytes."""
        whole = at = 0
        rows: list[QueryRow] = []
        try:
            with self._path.open("rb") as file:
                for line in file:
                    at += len(line)
                    if not line.endswith(b"\n"):
                        break
                    if line.startswith(b"{"):
                        rows.append(from_line(line))
                        continue
                    self.rows[int(line)] = rows
                    rows, whole = [], at
        except FileNotFoundError:
            return 0
        except ValueError:
            # Damaged from here on.
            return whole
        return whole
