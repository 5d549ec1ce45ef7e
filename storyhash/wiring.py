"""Builds services from settings and connects them; the only module that knows every package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from common.errors import ModelMismatchError
from common.settings import Settings
from common.work_in_progress import WorkInProgress
from embedder.query.embedder import QueryEmbedder
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool
from ingest.query_decoder import QueryDecoder
from searcher.local_index import LocalIndex
from searcher.matching.matcher import Matcher, MatchReport
from searcher.opening import open_reader, open_writer, stored_manifest
from searcher.storage.data_dir import FolderManifest, read_manifest, require_manifest
from searcher.transform.finder import TransformFinder
from searcher.transform.pictures import Pictures
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.profiles import AUTO, Profile, build_stage, resolve_profile
from storyhash.query.local import LocalQueries
from storyhash.query.matchers import check_banks, matcher_over
from storyhash.query.pictures import PictureReader


@dataclass(frozen=True, slots=True)
class IndexServices:
    """The objects for indexing. chosen: this run chose the profile of a new folder."""

    index: LocalIndex
    stage: EmbedderStage
    pool: DecoderPool
    in_hand: WorkInProgress
    thumbnails: Thumbnails
    chosen: bool

    @property
    def announcement(self) -> str:
        """The message about a new folder."""
        return (
            f"new index in {self.index.folder}, profile {self.stage.profile} "
            f"(model {self.stage.model_id}); it keeps this profile"
        )


@dataclass(frozen=True, slots=True)
class QueryServices:
    """The objects for matching."""

    index: LocalIndex
    queries: LocalQueries
    matcher: Matcher
    transforms: TransformFinder

    def compare(self, query: Pictures | None, report: MatchReport) -> MatchReport:
        """The report after the query's pictures were compared with those of its matches."""
        return self.transforms.add_to(
            report, query, self.index.videos.uri_of, self.matcher.policies
        )


@contextmanager
def open_for_indexing(settings: Settings, *, answering: bool = False) -> Iterator[IndexServices]:
    """Open the data folder for changes, or create it; answering: for queries too."""
    manifest = read_manifest(settings.data_dir)
    stage = build_stage(profile_in_force(settings), settings)
    with (
        open_writer(
            settings.data_dir, _manifest(stage, settings), settings, answering=answering
        ) as index,
        DecoderPool(settings.video, settings.ingest) as pool,
        closing(WorkInProgress.open(settings.data_dir, "index")) as in_hand,
    ):
        thumbnails = Thumbnails(index.thumbnails, settings.thumbnails)
        yield IndexServices(index, stage, pool, in_hand, thumbnails, chosen=manifest is None)


@contextmanager
def open_for_queries(settings: Settings, *, decoders: int | None = None) -> Iterator[QueryServices]:
    """Open the data folder, or the index in Qdrant, for matching. decoders: number of queries that are
    decoded at the same time (default: the setting)."""
    if stored_manifest(settings) is None:
        require_manifest(settings.data_dir)
    stage = build_stage(profile_in_force(settings), settings)
    with (
        open_reader(settings.data_dir, _manifest(stage, settings), settings) as index,
        QueryDecoder(settings.video, settings.ingest, decoders) as decoder,
        PictureReader(settings.video, decoders or 1) as reader,
    ):
        check_banks(index, settings.matching)
        matcher = matcher_over(index, stage.visual.name, settings.matching)
        queries = LocalQueries(decoder, QueryEmbedder(stage), reader)
        transforms = TransformFinder(reader, settings.matching.transform_seconds)
        yield QueryServices(index, queries, matcher, transforms)


@contextmanager
def open_catalogue(settings: Settings, *, writer: bool) -> Iterator[LocalIndex]:
    """Open only the catalogue of the data folder; no model is loaded."""
    current = stored_manifest(settings) or require_manifest(settings.data_dir)
    opened = open_writer if writer else open_reader
    manifest = replace(current, mirror=settings.searcher.store)
    with opened(settings.data_dir, manifest, settings) as index:
        yield index


@contextmanager
def open_for_comparing(settings: Settings) -> Iterator[tuple[LocalIndex, Matcher]]:
    """Open the data folder to match its videos with each other; no model is loaded."""
    with open_catalogue(settings, writer=False) as index:
        check_banks(index, settings.matching)
        visual = profile_in_force(settings).visual
        yield index, matcher_over(index, visual, settings.matching)


def _manifest(stage: EmbedderStage, settings: Settings) -> FolderManifest:
    return FolderManifest(stage.profile, stage.model_id, settings.searcher.store)


def profile_in_force(settings: Settings) -> Profile:
    """The profile of a data folder, or for a new folder the requested profile.

    Raises UsageError for an unknown name, ModelMismatchError if the folder has another profile.
    """
    requested = resolve_profile(settings)
    manifest = stored_manifest(settings)
    if manifest is None:
        return requested
    if settings.profile not in (AUTO, manifest.profile):
        raise ModelMismatchError(
            f"{settings.data_dir} was made with profile {manifest.profile}, not "
            f"{settings.profile}; use another folder with --data, or omit --profile"
        )
    return resolve_profile(settings.model_copy(update={"profile": manifest.profile}))
