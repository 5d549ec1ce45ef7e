"""A study's queries worked on by several processes, from features made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from common.errors import StoryHashError, UsageError
from common.settings import IngestSettings, VideoSettings
from embedder.normalise import unit
from embedder.visual.views import VIEW_NAMES
from evaluation.data.datasets import DatasetVideo
from evaluation.data.extraction import ORIGINAL
from evaluation.data.feature_cache import write_cached_query
from evaluation.experiment import worker_pool
from evaluation.experiment.commands import calibrate
from evaluation.experiment.configured_methods import ConfiguredMethod, answer_queries
from evaluation.experiment.experiment import Evaluation
from evaluation.experiment.experiment_data import ExperimentData, ExperimentPlan, ExperimentSpec
from evaluation.experiment.profile import Backend
from evaluation.experiment.worker_pool import WorkerPool
from evaluation.methods.configurations import FULL
from evaluation.protocol import Query
from evaluation.transforms.registry import TRANSFORMS
from searcher.matching.scoring.calibration import load_calibration
from tests.support.evaluation_features import seen

NAMES = tuple(TRANSFORMS)[:5]
PROFILE, MODEL = "offline", "made-by-hand"


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries per task, so that a few queries are enough for two processes."""
    monkeypatch.setattr(worker_pool, "CHUNK", 5)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> ExperimentSpec:
    """Five videos, and five edits of each that show what it shows with more and more noise."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(5)
    videos = []
    for number in range(5):
        path = folder / f"{number}.mp4"
        path.write_text(f"no film, a name {number}")
        videos.append(DatasetVideo(path.name, str(path), path.name))
    recipe = ExperimentSpec(
        *(tuple(videos), NAMES, None, folder / "cache" / "features", folder / "cache" / "videos"),
        *(PROFILE, MODEL, "mean", VideoSettings()),
    )
    for video in videos:
        direction = unit(rng.normal(size=512))
        wanted = [(ORIGINAL, 0.02)] + [(name, 0.02 + 0.004 * n) for n, name in enumerate(NAMES)]
        for name, noise in wanted:
            write_cached_query(recipe.store.path(PROFILE, video, name), seen(rng, direction, noise))
    return recipe


def evaluation(recipe: ExperimentSpec, workers: int, watched: dict[str, int]) -> Evaluation:
    def watch(what: str, steps: int) -> Callable[[int], None]:
        watched[what] = -steps

        def advance(done: int) -> None:
            watched[what] += done

        return advance

    def never() -> None:
        raise AssertionError("features were made by hand")

    backend = Backend(
        *(PROFILE, "offline", MODEL, "mean", never),  # type: ignore[arg-type]
        load_calibration("offline"),
        VIEW_NAMES,
    )
    return Evaluation(
        recipe.plan,
        (backend,),
        recipe.folder.parent,
        VideoSettings(),
        IngestSettings(),
        workers,
        watch,
    )


def test_a_query_is_seen_through_the_views_of_the_profile_alone(recipe: ExperimentSpec) -> None:
    for views in (("identity", "flip_h"), ("identity",)):
        query = ExperimentData(replace(recipe, views=views)).queries()[0]
        assert tuple(view.name for view in query.load().query.views) == views


def test_two_processes_and_one_give_the_same_rows(recipe: ExperimentSpec) -> None:
    found = []
    for workers in (1, 2):
        watched: dict[str, int] = {}
        held = evaluation(recipe, workers, watched)
        assert held.missing() == []
        (backend,) = held.backends
        method = ConfiguredMethod(FULL, {None: backend.calibration})
        with held.open_profile(backend) as asking:
            found.append(asking.rows([method]))
        assert watched == {"offline: matching with full": 0}
    assert found[0] == found[1]
    assert len(found[0]) == 5 * len(NAMES) * 3


def test_methods_that_answer_together_give_the_rows_that_each_gives(recipe: ExperimentSpec) -> None:
    (backend,) = evaluation(recipe, 1, {}).backends
    data = ExperimentData(recipe)
    alone, beside = (ConfiguredMethod(FULL, {None: backend.calibration}, n) for n in (0, 50))
    some = data.queries()[:2]
    together = answer_queries([alone, beside], data, some)
    assert together == [answer_queries([method], data, some)[0] for method in (alone, beside)]
    names = [[row.configuration for row in rows] for rows in together]
    assert names == [["full"] * 6, ["full+50"] * 6]


def test_a_calibration_is_fitted_once_and_named_after_its_samples(recipe: ExperimentSpec) -> None:
    watched: dict[str, int] = {}
    first = calibrate(
        evaluation(recipe, 2, watched), evaluation(recipe, 2, {}).backends[0], "20250102"
    )
    assert first.calibration.version.startswith("offline-20250102-")
    assert watched["offline: gathering for full"] == 0
    watched.clear()
    again = evaluation(recipe, 1, watched)
    second = calibrate(again, again.backends[0], "20250103")
    assert "offline: gathering for full" not in watched
    assert second.calibration == replace(first.calibration, version=second.calibration.version)
    assert second.after == first.after


def test_a_study_that_lacks_features_says_so(recipe: ExperimentSpec) -> None:
    with pytest.raises(UsageError, match="not extracted"):
        WorkerPool(replace(recipe, model_id="another"))


def dies(data: ExperimentData, queries: Sequence[Query]) -> None:
    import os

    os._exit(1)


def test_the_death_of_a_worker_is_told(recipe: ExperimentSpec) -> None:
    with WorkerPool(recipe, 2) as pool, pytest.raises(StoryHashError, match="fewer --workers"):
        list(pool.run(dies, range(len(pool.queries))))


def test_one_family_alone_cannot_be_evaluated(recipe: ExperimentSpec) -> None:
    held = evaluation(recipe, 1, {})
    with pytest.raises(UsageError, match="two families"):
        replace(held, plan=ExperimentPlan(recipe.videos[:1], recipe.plan.transforms))
