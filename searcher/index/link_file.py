"""The links of a graph in a snapshot: a file in FAISS's format, and what changed since it was written.

New rows change few of the links, so a snapshot goes on with the file of an older one as long as what
changed is small:

- `NAME.faiss`: the links of a graph, in FAISS's format, without vectors.
- `NAME-changed-at.npy`, `NAME-changed.npy`: places in FAISS's list of links, and the links there now.
- `NAME-added-levels.npy`, `NAME-added.npy`: the levels and the links of the nodes that the file lacks.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from common.types import Int32Array
from searcher.index.graph import LowestLinks, read_links, write_links
from searcher.index.snapshot_files import ReadFiles, WrittenFiles

# Places compared at once: a fraction of a millisecond.
_PLACES = 1 << 16
# What changed is written alone, if it takes less than this fraction of all links.
_MOST = 1 / 8

# The entry point and the highest level of a graph, if a file has not all of its links.
Entry = dict[str, int]


def write_graph(files: WrittenFiles, name: str, graph: Any) -> Entry | None:
    """Write the links of a graph. Returns what `read_graph` needs besides the files. Raises OSError, and
    RuntimeError if the disk fails while FAISS writes."""
    file = f"{name}.faiss"
    if files.reuse_name(file):
        changes = _Changes.between(read_links(files.folder / file), graph)
        if changes is not None:
            return changes.write(files, name) if changes else None
        files.remove(file)
    write_links(files.folder / file, graph)
    files.note(file)
    return None


def read_graph(files: ReadFiles, name: str, nodes: int, entry: Entry | None) -> Any:
    """The graph with this many nodes that `write_graph` wrote, without vectors. Raises OSError,
    ValueError, LookupError, RuntimeError if it is damaged."""
    graph = read_links(files.checked(f"{name}.faiss"))
    if entry is not None:
        _Changes.read(files, name, entry).apply(graph)
    if graph.ntotal != nodes:
        raise ValueError(f"{name}.faiss: expected {nodes} nodes, got {graph.ntotal}")
    return graph


class _Changes:
    """What a graph has that a file of it lacks.

    at: int64 (changed,), places in FAISS's list of links; links: int32 (changed,), what is there now.
    levels: int32 (nodes,), one more than the highest level of each added node; added: int32 (m,), the
    links of these nodes, level by level.
    """

    def __init__(
        self,
        at: npt.NDArray[np.int64],
        links: Int32Array,
        levels: Int32Array,
        added: Int32Array,
        entry: Entry,
    ) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "changed-at": at,
            "changed": links,
            "added-levels": levels,
            "added": added,
        }
        self._entry = entry

    @classmethod
    def between(cls, old: Any, new: Any) -> _Changes | None:
        """From an older graph to a newer one; None if the graphs have little in common."""
        before, after = LowestLinks(old).array, LowestLinks(new).array
        levels = faiss.vector_to_array(new.hnsw.levels)
        starts, places = (faiss.vector_to_array(one.hnsw.offsets) for one in (old, new))
        if not np.array_equal(starts, places[: len(starts)]):
            # The graph was built anew, perhaps with another number of links per node.
            return None
        most, found = int(_MOST * len(after)) - (len(after) - len(before)), 0
        changed = [np.zeros(0, np.int64)]
        for start in range(0, len(before), _PLACES):
            here = slice(start, min(start + _PLACES, len(before)))
            changed.append(start + np.flatnonzero(before[here] != after[here]))
            # Each is written with its place.
            found += 2 * len(changed[-1])
            if found > most:
                return None
        at = np.concatenate(changed)
        return cls(
            at,
            after[at],
            levels[old.hnsw.levels.size() :].copy(),
            after[len(before) :].copy(),
            _entry_of(new),
        )

    def __bool__(self) -> bool:
        return any(len(array) for array in self._arrays.values())

    def write(self, files: WrittenFiles, name: str) -> Entry:
        """Write the files. Returns what else `read` needs."""
        for kind, array in self._arrays.items():
            files.add(f"{name}-{kind}.npy", array)
        return self._entry

    @classmethod
    def read(cls, files: ReadFiles, name: str, entry: Entry) -> _Changes:
        """Raises OSError, ValueError, LookupError if a file is damaged."""
        at, links, levels, added = (
            files.array(f"{name}-{kind}.npy")
            for kind in ("changed-at", "changed", "added-levels", "added")
        )
        return cls(at, links, levels, added, entry)

    def apply(self, graph: Any) -> None:
        """Make the older graph the newer one."""
        hnsw, arrays = graph.hnsw, self._arrays
        levels = np.concatenate([faiss.vector_to_array(hnsw.levels), arrays["added-levels"]])
        starts = faiss.vector_to_array(hnsw.offsets)
        sizes = {level: hnsw.cum_nb_neighbors(level) for level in np.unique(levels).tolist()}
        added = np.array([sizes[one] for one in arrays["added-levels"].tolist()], np.uint64)
        starts = np.concatenate([starts, starts[-1] + np.cumsum(added, dtype=np.uint64)])
        before, total = hnsw.neighbors.size(), int(starts[-1])
        if total != before + len(arrays["added"]):
            raise ValueError(f"links: expected {total - before} more, got {len(arrays['added'])}")
        faiss.copy_array_to_vector(levels, hnsw.levels)
        faiss.copy_array_to_vector(starts, hnsw.offsets)
        hnsw.neighbors.resize(total)
        links = faiss.rev_swig_ptr(hnsw.neighbors.data(), total)
        links[arrays["changed-at"]] = arrays["changed"]
        links[before:] = arrays["added"]
        hnsw.entry_point, hnsw.max_level = self._entry["point"], self._entry["level"]
        graph.ntotal = len(levels)


def _entry_of(graph: Any) -> Entry:
    return {"point": int(graph.hnsw.entry_point), "level": int(graph.hnsw.max_level)}
