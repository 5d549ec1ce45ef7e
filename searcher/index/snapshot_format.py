"""What is in a snapshot: a shard as files, and back.

- `graph-N.faiss` and files beside it: the links of a graph (`link_file`). `graph-N-vectors-*`: the
vectors of its nodes; `graph-N-nodes-*`: the node of each row.
- `delta-*`: the vectors that are in no graph yet.
- `rows-*`, `names.json`: the segments of the rows. `frames-*`, `frame-counts-*`: their frame codes.
`alive.npy`: which rows are not deleted, a bit for each.

Vectors, frame codes and segments of deleted rows are overwritten, so the files have no data of a deleted
video.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from common.settings import SearcherSettings
from common.types import FRAME_CODE_SIZE, BoolArray, Float32Array, Int8Array
from searcher.index.compression import compress
from searcher.index.exact_vectors import ExactVectors
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION, LowestLinks
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_part import GraphPart
from searcher.index.graph_tuning import Tuning
from searcher.index.link_file import Entry, read_graph, write_graph
from searcher.index.row_table import COLUMNS, RowTable
from searcher.index.shard import Shard
from searcher.index.shared_vectors import SharedVectors
from searcher.index.snapshot_files import ReadFiles, WrittenFiles, piece_name, pieces_of
from searcher.index.state import State

# Names per call of the encoder, which lets no other thread run meanwhile.
_NAMES = 4096


def write_state(files: WrittenFiles, state: State) -> dict[str, Any]:
    """Write the files of a state. Returns their entry for the manifest. Raises OSError, and
    RuntimeError if the disk fails while FAISS writes."""
    entries = [
        _PartWriter(files, f"graph-{number}", part, state.alive[part.first_row : part.stop]).write()
        for number, part in enumerate(state.parts)
    ]
    waiting = _living_delta(state)
    for start, stop in pieces_of(len(waiting)):
        files.add(piece_name("delta", start), waiting[start:stop])
    codes_per_piece = []
    for start, stop in pieces_of(state.total):
        alive = state.alive[start:stop]
        codes, counts = state.frames.part(start, stop, alive)
        files.add(piece_name("rows", start), state.rows.part(start, stop, alive))
        files.add(piece_name("frames", start), codes)
        files.add(piece_name("frame-counts", start), counts)
        codes_per_piece.append(len(codes))
    files.add("alive.npy", np.packbits(state.alive))
    videos, banks = state.rows.names(state.alive)
    files.add("names.json", f'{{"videos": {_listed(videos)}, "banks": {_listed(banks)}}}'.encode())
    graphs = [
        {
            "rows": part.rows,
            "nodes": part.nodes.count,
            "tuning": asdict(part.tuning),
            "entry": entry,
        }
        for part, entry in zip(state.parts, entries, strict=True)
    ]
    return {"rows": state.total, "graphs": graphs, "frames": codes_per_piece}


def read_shard(files: ReadFiles, manifest: Mapping[str, Any], settings: SearcherSettings) -> Shard:
    """The shard of the files. manifest: with what `write_state` returned. Raises OSError, ValueError,
    LookupError, RuntimeError if they are damaged."""
    total: int = manifest["rows"]
    parts: list[GraphPart] = []
    for number, graph in enumerate(manifest["graphs"]):
        first_row = parts[-1].stop if parts else 0
        parts.append(_read_part(files, f"graph-{number}", first_row, graph, settings))
    waiting = total - (parts[-1].stop if parts else 0)
    delta = np.empty((waiting, PADDED_DIMENSION), np.float32)
    files.fill("delta", delta)
    table, counts = np.empty(total, COLUMNS), np.empty(total, np.int64)
    files.fill("rows", table)
    files.fill("frame-counts", counts)
    alive = np.unpackbits(files.array("alive.npy"), count=total).astype(bool)
    names = json.loads(files.content("names.json"))
    return Shard.restore(
        settings,
        parts,
        delta,
        RowTable(table, names["videos"], names["banks"]),
        FrameCodeTable(_read_codes(files, manifest["frames"]), counts),
        alive,
    )


class _PartWriter:
    """Writes the files of a graph. alive: bool (rows,)."""

    def __init__(self, files: WrittenFiles, name: str, part: GraphPart, alive: BoolArray) -> None:
        self._files = files
        self._name = name
        self._part = part
        self._living = part.nodes.with_any(alive)

    def write(self) -> Entry | None:
        """Returns what `write_graph` returned."""
        part, known = self._part, self._part.checksums
        entry = write_graph(self._files, self._name, part.graph)
        for start, stop in pieces_of(part.nodes.count):
            name = piece_name(f"{self._name}-vectors", start)
            if not self._living[start:stop].all():
                self._files.add(name, self._without_dead(start, stop))
            elif not self._files.reuse(name, known.get((start, stop))):
                known[start, stop] = self._files.add(name, part.vectors[start:stop])
        if not part.nodes.distinct:
            for start, stop in pieces_of(part.rows):
                name = piece_name(f"{self._name}-nodes", start)
                self._files.add(name, part.nodes.of_row[start:stop])
        return entry

    @cached_property
    def _links(self) -> LowestLinks:
        return LowestLinks(self._part.graph)

    def _without_dead(self, start: int, stop: int) -> Float32Array:
        """The vectors of nodes [start, stop). Searches still pass through deleted nodes, so each one gets
        the vector of a live neighbour, or zeros if it has none."""
        stored = self._part.vectors[start:stop].copy()
        for node in (start + np.flatnonzero(~self._living[start:stop])).tolist():
            near = self._links.of(node)
            near = near[near >= 0]
            near = near[self._living[near]]
            stored[node - start] = self._part.vectors[near[0]] if len(near) else 0
        return stored


def _living_delta(state: State) -> Float32Array:
    """float32 (m, 528): the vectors of the delta; those of deleted rows are zero."""
    delta = np.zeros((state.total - state.graph_rows, PADDED_DIMENSION), dtype=np.float32)
    for first, vectors in state.delta.pieces(state.graph_rows, state.total):
        living = state.alive[first : first + len(vectors)]
        at = first - state.graph_rows
        # `copyto` lets other threads run meanwhile, which indexing with `living` does not.
        np.copyto(delta[at : at + len(vectors)], vectors, where=living[:, None])
    return delta


def _read_part(
    files: ReadFiles,
    name: str,
    first_row: int,
    counts: Mapping[str, Any],
    settings: SearcherSettings,
) -> GraphPart:
    nodes, rows = counts["nodes"], counts["rows"]
    graph = read_graph(files, name, nodes, counts.get("entry"))
    exact, shared = None, None
    if settings.quantization == "none":
        shared = SharedVectors(nodes)
        files.fill(f"{name}-vectors", shared.fill(nodes))
        shared.finish(graph)
    else:
        exact = ExactVectors(nodes)
        files.fill(f"{name}-vectors", exact.array)
        compress(graph, exact.array, settings.quantization)
    of_row = np.arange(rows, dtype=np.int64)
    if nodes != rows:
        files.fill(f"{name}-nodes", of_row)
    tuning = Tuning(**counts["tuning"])
    part = GraphPart(graph, GraphNodes(of_row), first_row, tuning, exact=exact, shared=shared)
    for start, stop in pieces_of(nodes):
        part.checksums[start, stop] = files.checksum(piece_name(f"{name}-vectors", start))
    return part.prepare()


def _read_codes(files: ReadFiles, per_piece: Sequence[int]) -> Int8Array:
    codes = np.empty((sum(per_piece), FRAME_CODE_SIZE), np.int8)
    ends = np.cumsum(per_piece).tolist()
    files.fill_parts(
        "frames", codes, [(end - size, end) for end, size in zip(ends, per_piece, strict=True)]
    )
    return codes


def _listed(texts: Sequence[str]) -> str:
    """A JSON list."""
    starts = range(0, len(texts), _NAMES)
    parts = (json.dumps(texts[at : at + _NAMES], ensure_ascii=False)[1:-1] for at in starts)
    return f"[{', '.join(parts)}]"
