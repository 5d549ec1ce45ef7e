"""Snapshots of the shard: written atomically and verified when loaded; the newest valid one is used.

A snapshot is a folder `snapshot-{sequence}` with the graph's links in FAISS's format, the vectors of its
nodes, the node of each row, the delta, which rows are live, the segments of the rows with their names,
the frame codes, and `manifest.json` with a checksum of each file. Vectors, frame codes and segments of
deleted rows are overwritten, so later snapshots have no data of a deleted video.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import private_folder
from common.errors import ModelMismatchError, StorageError
from common.settings import SearcherSettings
from common.types import BoolArray, Float32Array
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import (
    PADDED_DIMENSION,
    LowestLinks,
    graph_vectors,
    read_graph,
    write_links,
)
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_tuning import UNTUNED, Tuning
from searcher.index.row_table import RowTable
from searcher.index.shard import Shard
from searcher.index.state import State

_FORMAT = 4
# In format 3 the graph's own file has the vectors.
_READ_FORMATS = (3, 4)
_PREFIX = "snapshot-"


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """The description of a snapshot. sequence: number of changes of the index that it includes. offsets:
    log offset per partition."""

    sequence: int
    model_id: str
    rows: int
    offsets: dict[str, int]


@dataclass(frozen=True, slots=True)
class LoadedSnapshot:
    """A loaded shard; `refused` lists newer snapshots that were damaged, with the reason."""

    shard: Shard
    info: SnapshotInfo
    refused: tuple[str, ...]


def save_snapshot(folder: Path, shard: Shard, info: SnapshotInfo, *, keep: int) -> Path:
    """Write a snapshot and delete all but the newest `keep`. Returns its folder. Raises StorageError if
    the disk fails; then older snapshots are kept."""
    final = folder / f"{_PREFIX}{info.sequence:012d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    try:
        private_folder(folder)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write(temporary, shard, info)
        _replace(temporary, final)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # FAISS reports a full disk as a RuntimeError.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else str(error).splitlines()[0]
        raise StorageError(
            f"{folder}: the snapshot could not be written ({reason}); older snapshots are "
            "kept; free some disk space and run the same command again"
        ) from None
    for old in snapshots(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def snapshots(folder: Path) -> list[Path]:
    """The folders of the snapshots, newest first."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.iterdir() if path.name.startswith(_PREFIX)), reverse=True
    )


def load_newest(folder: Path, settings: SearcherSettings, model_id: str) -> LoadedSnapshot | None:
    """The newest valid snapshot; None if there is no snapshot. If all are damaged, the shard is empty and
    its sequence is -1. Raises ModelMismatchError if it has vectors of another model."""
    refused: list[str] = []
    for path in snapshots(folder):
        try:
            info, shard = _read(path, settings)
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            refused.append(f"{path.name} is damaged ({str(error).splitlines()[0][:160]})")
            continue
        if info.model_id != model_id:
            raise ModelMismatchError(
                f"{folder} has vectors of {info.model_id}, not of {model_id}; use another "
                "data folder"
            )
        return LoadedSnapshot(shard, info, tuple(refused))
    return (
        None
        if not refused
        else LoadedSnapshot(Shard(settings), SnapshotInfo(-1, model_id, 0, {}), tuple(refused))
    )


def _write(folder: Path, shard: Shard, info: SnapshotInfo) -> None:
    state = shard.export()
    graph, alive = state.graph, state.alive
    if graph is not None:
        write_links(folder / "graph.faiss", graph)
        np.save(folder / "vectors.npy", graph_vectors(graph), allow_pickle=False)
        living = state.nodes.with_any(alive[: state.graph_rows])
        if not living.all():
            _forget(folder / "vectors.npy", graph, living)
    np.save(folder / "nodes.npy", state.nodes.of_row, allow_pickle=False)
    np.save(folder / "delta.npy", _living_delta(state), allow_pickle=False)
    np.save(folder / "alive.npy", alive, allow_pickle=False)
    table, videos, banks = state.rows.export(alive)
    np.save(folder / "rows.npy", table, allow_pickle=False)
    codes, counts = state.frames.export(alive)
    np.save(folder / "frames.npy", codes, allow_pickle=False)
    np.save(folder / "frame_counts.npy", counts, allow_pickle=False)
    names = {"videos": videos, "banks": banks}
    (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False))
    files = {path.name: _checksum(path) for path in sorted(folder.iterdir())}
    manifest = {"format": _FORMAT, **asdict(info), "rows": state.total, "files": files}
    # Older versions of StoryHash ignore this key.
    manifest["tuning"] = asdict(state.tuning)
    manifest["checksum"] = _manifest_checksum(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _living_delta(state: State) -> Float32Array:
    """float32 (m, 528): the vectors of the delta; those of deleted rows are zero."""
    delta = np.zeros((state.total - state.graph_rows, PADDED_DIMENSION), dtype=np.float32)
    for first, vectors in state.delta.pieces(state.graph_rows, state.total):
        living = state.alive[first : first + len(vectors)]
        at = first - state.graph_rows
        delta[at : at + len(vectors)][living] = vectors[living]
    return delta


def _forget(path: Path, graph: Any, living: BoolArray) -> None:
    """Overwrite the vectors of deleted nodes in the file of vectors; memory may be too small for a second
    large graph. Searches still pass through these nodes, so each one gets the vector of a live neighbour,
    or zeros if it has none."""
    stored = np.load(path, mmap_mode="r+", allow_pickle=False)
    vectors, links = graph_vectors(graph), LowestLinks(graph)
    for node in np.flatnonzero(~living).tolist():
        near = links.of(node)
        near = near[near >= 0]
        near = near[living[near]]
        stored[node] = vectors[near[0]] if len(near) else 0
    stored.flush()


def _read(folder: Path, settings: SearcherSettings) -> tuple[SnapshotInfo, Shard]:
    manifest = json.loads((folder / "manifest.json").read_text())
    stated = manifest.pop("checksum")
    if stated != _manifest_checksum(manifest):
        raise ValueError("manifest.json does not match its checksum")
    if manifest["format"] not in _READ_FORMATS:
        raise ValueError(f"format {manifest['format']}, this version reads {_READ_FORMATS}")
    for name, checksum in manifest["files"].items():
        if _checksum(folder / name) != checksum:
            raise ValueError(f"{name} does not match its checksum")
    graph = None
    if "graph.faiss" in manifest["files"]:
        graph = read_graph(folder / "graph.faiss", folder / "vectors.npy")
    names = json.loads((folder / "names.json").read_text())
    table = np.load(folder / "rows.npy", allow_pickle=False)
    rows = RowTable(table, names["videos"], names["banks"])
    alive = np.load(folder / "alive.npy", allow_pickle=False)
    delta = np.load(folder / "delta.npy", allow_pickle=False)
    info = SnapshotInfo(
        manifest["sequence"], manifest["model_id"], manifest["rows"], manifest["offsets"]
    )
    nodes = GraphNodes(np.load(folder / "nodes.npy", allow_pickle=False))
    frames = FrameCodeTable(
        np.load(folder / "frames.npy", allow_pickle=False),
        np.load(folder / "frame_counts.npy", allow_pickle=False),
    )
    tuning = Tuning(**manifest["tuning"]) if "tuning" in manifest else UNTUNED
    return info, Shard.restore(settings, graph, nodes, delta, rows, frames, alive, tuning)


def _replace(temporary: Path, final: Path) -> None:
    """Move a complete folder to its final name, durably. An existing one is replaced."""
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _manifest_checksum(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
