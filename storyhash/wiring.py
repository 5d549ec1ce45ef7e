"""Builds services from settings and connects them; the only module that knows every package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from common.errors import ModelMismatchError, UsageError
from common.settings import MatchingSettings, Settings
from common.work_in_progress import WorkInProgress
from embedder.query.embedder import QueryEmbedder
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool
from ingest.query_decoder import QueryDecoder
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.second_opinion import as_second_opinion
from searcher.opening import open_reader, open_writer, stored_manifest
from searcher.second_folder import settings_of_second
from searcher.serving import SecondIndex
from searcher.storage.data_dir import FolderManifest, read_manifest, require_manifest
from searcher.storage.database import Database
from searcher.storage.video_store import VideoStore
from searcher.transform.finder import TransformFinder
from searcher.transform.pictures import Pictures
from searcher.video_index import VideoIndex
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.profiles import AUTO, SECOND, Profile, build_stage, resolve_profile
from storyhash.query.local import LocalQueries, SecondOpinion
from storyhash.query.matchers import check_banks, matcher_over
from storyhash.query.pictures import PictureReader
from storyhash.query.transforms import transform_finder
from storyhash.second_index import behind, covered_by, require_second, second_settings

if TYPE_CHECKING:
    # SQLAlchemy is slow to import.
    from searcher.curation.apply_rules import CurationRules


@dataclass(frozen=True, slots=True)
class IndexServices:
    """The objects for indexing. chosen: this run chose the profile of a new folder."""

    index: VideoIndex
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

    index: VideoIndex
    queries: LocalQueries
    matcher: Matcher
    transforms: TransformFinder
    second: SecondIndex | None = None

    def compare(self, query: Pictures | None, report: MatchReport) -> MatchReport:
        """The report after the query's pictures were compared with those of its matches."""
        return self._compared(self.matcher, query, report)

    def second_opinion(self, rules: CurationRules) -> SecondOpinion | None:
        """What is asked where no copy is found; None if there is no second index."""
        if self.second is None:
            return None
        second = replace(self.second, matcher=rules.matcher(self.second.matcher))
        return SecondOpinion(second, partial(self._compared, second.matcher))

    def _compared(
        self, matcher: Matcher, query: Pictures | None, report: MatchReport
    ) -> MatchReport:
        return self.transforms.add_to(report, query, self.index.references, matcher.policies)


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
    check_second_profile(settings)
    stage = build_stage(profile_in_force(settings), settings)
    with (
        open_reader(settings.data_dir, _manifest(stage, settings), settings) as index,
        QueryDecoder(settings.video, settings.ingest, decoders) as decoder,
        PictureReader(settings.video, decoders or 1) as reader,
    ):
        check_banks(index, settings.matching)
        matcher = matcher_over(index, stage.visual.name, settings.matching)
        transforms = transform_finder(reader, settings.matching)
        with _second_for_queries(settings, index) as (second, embedder):
            queries = LocalQueries(decoder, QueryEmbedder(stage), reader, embedder)
            yield QueryServices(index, queries, matcher, transforms, second)


@contextmanager
def _second_for_queries(
    settings: Settings, first: VideoIndex
) -> Iterator[tuple[SecondIndex | None, QueryEmbedder | None]]:
    """The second index, open for matching, and its embedder; None twice if it is not asked."""
    own = second_settings(settings) if settings.second_opinion.enabled else None
    if own is None:
        yield None, None
        return
    require_second(own)
    stage = build_stage(profile_in_force(own), own)
    with open_reader(own.data_dir, _manifest(stage, own), own) as index:
        _tell_second(first, index)
        second = second_over(first, index, stage.visual.name, own.matching)
        yield second, QueryEmbedder(stage)


def _tell_second(first: VideoIndex, second: VideoIndex) -> None:
    """Add the notices of the second index to those of the first one."""
    first.notices += [f"second opinion: {notice}" for notice in second.notices]
    if notice := behind(first, second):
        first.notices.append(notice)


def second_over(
    first: VideoIndex, second: VideoIndex, visual: str, settings: MatchingSettings
) -> SecondIndex:
    """The second index of a first one, with its matcher. visual: the backend of its profile."""
    matcher = as_second_opinion(matcher_over(second, visual, settings))
    return SecondIndex(second, matcher, covered_by(first.videos, second.videos))


def check_second_profile(settings: Settings) -> None:
    """Raises UsageError if both indexes have, or would have, the same profile; and what
    `profile_in_force` and `second_settings` raise."""
    profile = profile_in_force(settings).name
    own = second_settings(settings)
    if own is not None and profile == profile_in_force(own).name:
        raise UsageError(
            f"the second opinion needs another profile than {profile}; `storyhash models list` shows them"
        )


def with_second_profile(settings: Settings, named: str | None = None) -> Settings:
    """The settings with the second profile that is named, or with their own if none is. Raises UsageError
    if both profiles are the same."""
    if named is not None:
        second = settings.second_opinion.model_copy(update={"profile": named})
        settings = settings.model_copy(update={"second_opinion": second})
    check_second_profile(settings)
    return settings


@contextmanager
def open_second_for_indexing(
    settings: Settings, first: VideoIndex, *, answering: bool = False
) -> Iterator[IndexServices | None]:
    """The second index of a data folder, open for changes, or created; None if there is none and none is
    wanted. If the settings name no profile, a first index that never had a searchable video gets the
    usual one: also after a crash between the creation of both. answering: for queries too."""
    own = second_settings(settings)
    if own is None and settings.second_opinion.profile is None and not first.videos.sequence:
        usual = SECOND.get(first.manifest.profile)
        own = None if usual is None else settings_of_second(settings, usual)
    if own is None:
        yield None
        return
    with open_for_indexing(own, answering=answering) as services:
        yield services


@contextmanager
def open_second_catalogue(settings: Settings) -> Iterator[VideoIndex | None]:
    """The catalogue of the second index of a data folder, open for changes; None if there is none."""
    own = second_settings(settings)
    if own is None or stored_manifest(own) is None:
        yield None
        return
    with open_catalogue(own, writer=True) as index:
        yield index


@contextmanager
def open_catalogue(settings: Settings, *, writer: bool) -> Iterator[VideoIndex]:
    """Open only the catalogue of the data folder; no model is loaded."""
    current = stored_manifest(settings) or require_manifest(settings.data_dir)
    opened = open_writer if writer else open_reader
    manifest = replace(current, mirror=settings.searcher.store)
    with opened(settings.data_dir, manifest, settings) as index:
        yield index


@contextmanager
def open_rows(settings: Settings) -> Iterator[VideoStore]:
    """The rows of the catalogue, for reading; none if there is no index yet, and no index is made."""
    if stored_manifest(settings) is not None:
        with open_catalogue(settings, writer=False) as index:
            yield index.videos
        return
    with closing(Database(None)) as database:
        yield VideoStore(database)


@contextmanager
def open_for_comparing(
    settings: Settings,
) -> Iterator[tuple[VideoIndex, Matcher, SecondIndex | None]]:
    """Open the data folder, and its second index if that is asked, to match its videos with each other;
    no model is loaded."""
    own = second_settings(settings) if settings.second_opinion.enabled else None
    with ExitStack() as opened:
        index = opened.enter_context(open_catalogue(settings, writer=False))
        check_banks(index, settings.matching)
        matcher = matcher_over(index, profile_in_force(settings).visual, settings.matching)
        second = None
        if own is not None:
            require_second(own)
            other = opened.enter_context(open_catalogue(own, writer=False))
            _tell_second(index, other)
            second = second_over(index, other, profile_in_force(own).visual, own.matching)
        yield index, matcher, second


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
        made, other = str(settings.data_dir), "use another folder with --data"
        if read_manifest(settings.data_dir) is None:
            # The collections in Qdrant say which profile they are of.
            made = f"the collection {settings.qdrant.collection}"
            other = "set STORYHASH_QDRANT__COLLECTION to another"
        raise ModelMismatchError(
            f"{made} was made with profile {manifest.profile}, not {settings.profile}; {other}, or omit "
            "--profile"
        )
    return resolve_profile(settings.model_copy(update={"profile": manifest.profile}))
