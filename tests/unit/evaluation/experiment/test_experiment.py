"""What a run is made of: who answers, what is kept of an interrupted run, what is written in the end."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UsageError
from evaluation.calibration.fit import fit
from evaluation.calibration.folds import (
    calibrations_from_json,
    check_calibrations,
    concatenate_samples,
    digest,
    fit_on_folds,
    to_json,
    write_calibrations,
)
from evaluation.calibration.judged import JudgedPairs
from evaluation.calibration.samples import Samples
from evaluation.experiment.configured_methods import without_weak_matches
from evaluation.experiment.experiment import code_digest
from evaluation.experiment.regression_baseline import baseline_queries, full_configuration_rows
from evaluation.measures.statistics import Proportion
from evaluation.methods.configurations import ABLATION, FULL, chosen_configurations
from evaluation.report.small_tables import stage_times
from evaluation.report.summary_json import value_to_json
from searcher.matching.scoring.calibration import load_calibration
from tests.support.evaluation_rows import found, row


def test_a_row_keeps_what_is_right_and_the_best_of_what_is_wrong() -> None:
    strangers = [found("stranger", 0.9 - n / 10, video_id=f"s{n}") for n in range(5)]
    again = found("stranger", 0.05, video_id="s0")
    held = row("all", *strangers, found("partner", 0.3), found("self", 0.2), again)
    names = [one.video_id for one in without_weak_matches(held, wrong_kept=2).matches]
    assert names == ["s0", "s1", "partner", "self", "s0"]
    assert without_weak_matches(held) is held


def test_calibrations_of_other_code_have_another_name() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 16


def samples(seed: int, answers: int, views: tuple[str, ...] = ("identity", "flip_h")) -> Samples:
    """Answers with one right and one wrong video each through both views; half have no right one."""
    rng = np.random.default_rng(seed)
    absent = np.arange(answers) % 2 == 1
    answer = np.repeat(np.arange(answers), 4)
    right = np.tile([True, True, False, False], answers) & ~absent[answer]
    return Samples(
        views,
        answer=answer,
        right=right,
        view=np.tile([0, 1, 0, 1], answers),
        score=np.where(right, 0.8, 0.2) + rng.normal(0, 0.1, 4 * answers),
        seconds=np.full(4 * answers, 4.0),
        background_mean=np.full(4 * answers, 0.1),
        count=np.full(4 * answers, 9.0),
        fold=np.arange(answers) % 5,
        absent=absent,
    )


def test_samples_of_several_processes_are_as_if_gathered_by_one() -> None:
    first, second = samples(1, 6), samples(2, 4, ("flip_h", "identity"))
    both = concatenate_samples([first, second])
    assert both.views == ("identity", "flip_h")
    assert both.answer.max() == 9
    assert [both.views[number] for number in both.view[-4:]] == ["flip_h", "identity"] * 2
    np.testing.assert_array_equal(both.fold, np.concatenate([first.fold, second.fold]))
    assert concatenate_samples([first]).score is not first.score
    assert digest(concatenate_samples([first])) == digest(first) != digest(second)


def test_every_fold_has_a_calibration_that_was_not_fitted_on_it(tmp_path: Path) -> None:
    base = load_calibration("offline")
    fitted = fit_on_folds(samples(3, 120), 5, FULL, base, "offline-abc")
    assert list(fitted) == [0, 1, 2, 3, 4, None]
    assert fitted[None].version == "offline-abc"
    assert fitted[2].version == "offline-abc-without-2"
    assert calibrations_from_json(json.loads(json.dumps(to_json(fitted)))) == fitted


def judged(count: int, right: bool, score: float, share: float = 0.2) -> JudgedPairs:
    """Pairs with one score, through the view `identity`."""
    evidence = {"similarity": score, "background_lift": 0.0, "static_scene": False}
    item = {
        "probability": 0.9,
        "view": "identity",
        "query_start_seconds": 0.0,
        "query_end_seconds": 4.0,
        "evidence": evidence,
    }
    still = {**item, "evidence": {**evidence, "static_scene": True}}
    pairs = [(right, {"ranges": [item]})] * count
    return JudgedPairs.of([*pairs, (right, {"ranges": [still]})], share)


def test_judged_pairs_move_the_curve_and_their_weight_is_bounded() -> None:
    base, known = load_calibration("offline"), samples(3, 120)

    def probability(pairs: JudgedPairs | None, version: str = "v") -> float:
        fitted = fit(known, base, version, judged=pairs)
        return fitted.probability(0.5 - fitted.view_offset("identity"))

    plain = probability(None)
    assert probability(judged(0, right=True, score=0.5)) == plain
    assert probability(judged(30, right=False, score=0.5)) < plain
    assert probability(judged(30, right=True, score=0.5)) > plain
    # A hundred times as many have no more weight together.
    many, more = judged(400, right=False, score=0.5), judged(40_000, right=False, score=0.5)
    assert probability(many) == pytest.approx(probability(more), abs=1e-3)
    for pairs in (judged(3, right=True, score=0.5), many, more):
        weight = len(pairs) * pairs.weight(120)
        assert weight / (120 + weight) <= 0.2 + 1e-9
        assert pairs.weight(120) <= 1
    assert many.digest != more.digest != ""


def test_nothing_to_fit_on_is_the_callers_mistake() -> None:
    few = samples(3, 8)
    empty: dict[str, Any] = dict.fromkeys(("answer", "right", "view"), few.right[:0])
    nothing = replace(few, **empty)
    for held in (few, nothing):
        with pytest.raises(UsageError, match="take more videos"):
            fit_on_folds(held, 5, FULL, load_calibration("offline"), "v")


def test_a_file_of_calibrations_keeps_those_of_other_backends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calibration.json"
    sscd, offline = load_calibration("sscd"), load_calibration("offline")
    write_calibrations(path, {"sscd": sscd})
    write_calibrations(path, {"offline": offline})
    write_calibrations(path, {"sscd": replace(sscd, version="sscd-9")})
    assert load_calibration("offline", path) == offline
    assert load_calibration("sscd", path).version == "sscd-9"


@pytest.mark.parametrize("text", ["[]", '{"sscd": 1}', '{"sscd": {"version": "1"}}', "not json"])
def test_a_file_of_something_else_is_not_overwritten(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="name another file"):
        check_calibrations(path)
    with pytest.raises(UsageError):
        write_calibrations(path, {"sscd": load_calibration("sscd")})
    assert path.read_text() == text


def test_configurations_are_chosen_by_name_and_full_is_the_first() -> None:
    assert chosen_configurations(()) == ABLATION
    names = [one.name for one in chosen_configurations(["one-view", "visual-only"])]
    assert names == ["full", "visual-only", "one-view"]
    with pytest.raises(UsageError, match="paper-fusion"):
        chosen_configurations(["half"])


def test_a_baseline_is_its_rows_of_the_shipped_configuration() -> None:
    rows = [
        row("all", configuration="full", video_id="a"),
        row("all", configuration="full", video_id="b"),
        row("all", configuration="full", video_id="b", transform="blur"),
        row("all", configuration="full", transform="copy", group="real"),
        row("all", configuration="peer-median", video_id="a"),
    ]
    assert full_configuration_rows(rows) == rows[:4]
    assert full_configuration_rows(rows[4:]) == rows[4:]
    asked = baseline_queries(full_configuration_rows(rows))
    assert (asked.profile, asked.transforms, asked.per_transform) == (
        "offline",
        ("crop_10", "blur"),
        2,
    )


def test_values_as_json() -> None:
    assert value_to_json(Proportion(0, 0)) is None
    assert value_to_json(float("nan")) is None
    share = value_to_json(Proportion(9, 10))
    assert isinstance(share, dict)
    assert (share["value"], share["count"]) == (0.9, 9)
    assert asdict(Proportion(9, 10)) == {"count": 9, "total": 10}


def test_the_whole_of_a_query_comes_last() -> None:
    table = stage_times({"copy": {"total": 0.5, "pack": 0.1}, "stranger": {"look": 1}})
    assert table.rows == (("pack", "100.0", "–"), ("look", "–", "1000.0"), ("total", "500.0", "–"))
