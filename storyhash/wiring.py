"""The one place that knows every room: builds services from settings and joins them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from common.errors import DataFolderError, ModelMismatchError
from common.settings import Settings
from embedder.query import QueryEmbedder
from embedder.stage import EmbedderStage
from ingest.pool import DecoderPool
from searcher.folder import FolderManifest, read_manifest
from searcher.index import LocalIndex
from searcher.matching.calibration import load_calibration
from searcher.matching.matcher import Matcher
from searcher.matching.policy import default_policy
from storyhash.profiles import AUTO, build_stage, resolve_profile


@dataclass(frozen=True, slots=True)
class IndexServices:
    """What indexing needs. `chosen` is true when this run picked the profile of a new folder."""

    index: LocalIndex
    stage: EmbedderStage
    pool: DecoderPool
    chosen: bool


@dataclass(frozen=True, slots=True)
class QueryServices:
    """What matching needs."""

    index: LocalIndex
    embedder: QueryEmbedder
    matcher: Matcher
    pool: DecoderPool


@contextmanager
def open_for_indexing(settings: Settings) -> Iterator[IndexServices]:
    """Open the data folder for changes, making it where there is none."""
    held = read_manifest(settings.data_dir)
    stage = _stage(settings, held)
    manifest = FolderManifest(stage.profile, stage.model_id, settings.searcher.mirror)
    with (
        LocalIndex.open_writer(settings.data_dir, manifest, settings) as index,
        DecoderPool(settings.video, settings.ingest) as pool,
    ):
        yield IndexServices(index, stage, pool, chosen=held is None)


@contextmanager
def open_for_queries(settings: Settings) -> Iterator[QueryServices]:
    """Open the data folder for matching."""
    held = read_manifest(settings.data_dir)
    if held is None:
        raise DataFolderError(
            f"there is no index in {settings.data_dir}; make one with: storyhash index PATH "
            f"--data {settings.data_dir}"
        )
    stage = _stage(settings, held)
    manifest = FolderManifest(stage.profile, stage.model_id, settings.searcher.mirror)
    calibration = load_calibration(stage.profile)
    with (
        LocalIndex.open_reader(settings.data_dir, manifest, settings) as index,
        DecoderPool(settings.video, settings.ingest) as pool,
    ):
        matcher = Matcher(index, stage.model_id, calibration, default_policy(calibration))
        yield QueryServices(index, QueryEmbedder(stage), matcher, pool)


@contextmanager
def open_catalogue(settings: Settings, *, writer: bool) -> Iterator[LocalIndex]:
    """Open the data folder for its catalogue alone; no model is loaded."""
    held = read_manifest(settings.data_dir)
    if held is None:
        raise DataFolderError(
            f"there is no index in {settings.data_dir}; make one with: storyhash index PATH "
            f"--data {settings.data_dir}"
        )
    opened = LocalIndex.open_writer if writer else LocalIndex.open_reader
    manifest = replace(held, mirror=settings.searcher.mirror)
    with opened(settings.data_dir, manifest, settings) as index:
        yield index


def _stage(settings: Settings, held: FolderManifest | None) -> EmbedderStage:
    """The embedder of the profile asked for, or of the one a folder was made with."""
    if held is None:
        return build_stage(resolve_profile(settings), settings)
    if settings.profile not in (AUTO, held.profile):
        resolve_profile(settings)
        raise ModelMismatchError(
            f"{settings.data_dir} was made with profile {held.profile}, not {settings.profile}; "
            "use --data for another folder, or leave --profile out"
        )
    pinned = settings.model_copy(update={"profile": held.profile})
    return build_stage(resolve_profile(pinned), settings)
