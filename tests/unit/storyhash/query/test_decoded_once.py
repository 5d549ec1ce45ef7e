"""One query that needs a second pass is decoded once, whichever way it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.settings import HttpSettings, IngestSettings, Settings, ThumbnailSettings, load_settings
from common.spool import DecodedVideo
from common.types import PassName, QueryEmbedding
from common.video import encode_video
from embedder.query.session import QuerySession
from embedder.server import embed_app
from evaluation.experiment.latency import Latency
from ingest.catalogue import list_catalog
from ingest.query_decoder import QueryDecoder
from searcher.api.app import api_app
from searcher.matching.scoring.calibration import load_calibration
from searcher.serving import ServingIndex
from searcher.storage.thumbnails import ThumbnailStore
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import plan_work
from storyhash.profiles import build_stage, resolve_profile
from storyhash.query.local import run_queries
from storyhash.query.remote import RemoteQueries
from storyhash.samples import FRAMES_PER_SECOND, film
from storyhash.services.serve.local_catalogue import OpenedWithQueue, ServedCatalogue
from storyhash.wiring import open_for_indexing, open_for_queries

FREE = HttpSettings(port=0)


class Work:
    """Decodes and passes since it was last asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decodes: list[str] = []
        self.passes: list[str] = []
        decode, pieces = QueryDecoder.decode, QuerySession.pieces

        def counted_decode(
            decoder: QueryDecoder, source: Path | str, *more: Any, **named: Any
        ) -> DecodedVideo:
            self.decodes.append(str(source))
            return decode(decoder, source, *more, **named)

        def counted_pieces(
            session: QuerySession, pass_name: PassName, *more: Any, **named: Any
        ) -> Iterator[QueryEmbedding]:
            self.passes.append(pass_name)
            return pieces(session, pass_name, *more, **named)

        monkeypatch.setattr(QueryDecoder, "decode", counted_decode)
        monkeypatch.setattr(QuerySession, "pieces", counted_pieces)

    def taken(self) -> tuple[int, list[str]]:
        found = len(self.decodes), list(self.passes)
        self.decodes.clear()
        self.passes.clear()
        return found


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a data folder with one film indexed."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "films").mkdir()
    encode_video(folder / "films" / "film.mp4", film(1, 6.0), FRAMES_PER_SECOND)
    kept = ThumbnailSettings(enabled=True)
    made = load_settings(data_dir=folder / "data", profile="offline", thumbnails=kept)
    with open_for_indexing(made) as services:
        plan = plan_work(list_catalog([str(folder / "films")]), services.index.videos)
        metrics = Metrics.create("test")
        indexer = Indexer(
            *(services.index, services.stage, services.pool, metrics),
            thumbnails=services.thumbnails,
        )
        indexer.index_all(plan.work, lambda _: None)
        services.index.save_snapshot()
    return made


@pytest.fixture
def non_match(tmp_path: Path) -> Path:
    path = tmp_path / "non-match.mp4"
    encode_video(path, film(99, 3.0), FRAMES_PER_SECOND)
    return path


def test_an_indexed_video_has_the_thumbnails_of_the_frames_that_were_embedded(
    settings: Settings,
) -> None:
    found = [
        ThumbnailStore(settings.data_dir).read("film.mp4", seconds) for seconds in (0, 2.6, 99)
    ]
    assert [one and one.seconds for one in found] == [0.0, 2.5, 5.5]


def health(metrics: Metrics) -> Health:
    return Health(metrics, (), 60.0)


def match(app: Any, path: Path) -> dict[str, Any]:
    with HttpServer(app, FREE) as server, path.open("rb") as video:
        answer = httpx.post(f"{server.url}/v1/match", content=video, timeout=300)
    assert answer.status_code == 200, answer.text
    return cast(dict[str, Any], answer.json())


def test_a_non_match_is_decoded_once_by_match_by_serve_and_by_a_searcher_with_an_embedder(
    settings: Settings, non_match: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = (1, ["first", "closer"])
    work = Work(monkeypatch)
    with open_for_queries(settings) as services, ExitStack() as stack:
        (outcome,) = run_queries(services.queries, services.matcher, [str(non_match)])
        assert outcome.report is not None
        assert outcome.report.decision == "no_match"
        assert work.taken() == once, "storyhash match"

        metrics = Metrics.create("serve")
        answering = ServingIndex("", services.index, services.matcher)
        catalogue = ServedCatalogue(metrics, IngestSettings())
        catalogue.open(OpenedWithQueue(answering, services.queries, cast(Any, None)))
        served = api_app(catalogue, catalogue.embed, health(metrics), metrics, FREE)
        assert match(served, non_match)["decision"] == "no_match"
        assert work.taken() == once, "storyhash serve"

        metrics = Metrics.create("embed")
        embedder = embed_app(
            services.queries.open, answering.model_id, health(metrics), metrics, FREE
        )
        url = stack.enter_context(HttpServer(embedder, FREE)).url
        remote = RemoteQueries([url], timeout_seconds=300)
        stack.callback(remote.close)
        metrics = Metrics.create("search")
        searcher = api_app(catalogue, remote.open, health(metrics), metrics, FREE)
        assert match(searcher, non_match)["decision"] == "no_match"
        assert work.taken() == once, "storyhash search and storyhash embed"


def test_latency_is_measured_with_one_decode_per_query(
    settings: Settings, non_match: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    stage = build_stage(resolve_profile(settings), settings)
    with QueryDecoder(settings.video, settings.ingest, 1) as decoder:
        latency = Latency(stage, load_calibration("offline"), decoder, 60)
        _, timed = latency.measure([non_match], 1, lambda _: None)
        latency.close()
    decodes, passes = work.taken()
    # Three cases, each once before it counts; a copy needs one pass, the others two.
    assert decodes == 6
    assert passes == ["first"] * 2 + ["first", "closer"] * 2 + ["first", "thorough"] * 2
    for case in timed:
        assert case.stages["first look: retrieve and align"] > 0
        assert case.stages["first look: visual encode"] > 0
        assert case.stages["first look: embed"] > 0
        assert ("closer look: retrieve and align" in case.stages) == (case.case == "stranger")
