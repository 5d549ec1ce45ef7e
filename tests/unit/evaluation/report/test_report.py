"""What a run leaves, and the document made of it, from rows made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from common.errors import UsageError
from evaluation.data.record_io import write_rows
from evaluation.methods.configurations import FUSIONS
from evaluation.records import QueryRow
from evaluation.report import report
from evaluation.report.report import ablation_report, robustness_report
from scripts.evaluation_doc import generated_text as prose
from scripts.evaluation_doc.results import read_results
from scripts.evaluation_doc.sections import document
from scripts.evaluation_doc.targets import GOALS, HEADLINES, headlines, targets_of
from tests.support.evaluation_rows import found, piece, row

WHOLE = (piece((0, 10), (0, 10)),)
TRANSFORMS = {
    "crop_10": "paper",
    "flip_v": "paper",
    "trim_end": "temporal",
    "pip_small": "composed",
}


def rows(configuration: str, misses: int = 0, profile: str = "offline") -> list[QueryRow]:
    """Six videos under four transforms; of the last transform so many are not found."""
    made = []
    for transform, group in TRANSFORMS.items():
        for number in range(6):
            missed = transform == "pip_small" and number < misses
            right = found("self", 0.01 if missed else 0.97, 0.4 if missed else 0.8 + number / 100)
            wrong = found("stranger", 0.4 if missed else 0.1, 0.3 + number / 50)
            named: dict[str, Any] = {
                "configuration": configuration,
                "profile": profile,
                "transform": transform,
                "group": group,
                "video_id": f"film {number}",
                "fold": number % 5,
                "pieces": WHOLE,
            }
            made.append(row("all", right, wrong, **named))
            made.append(row("with", right, wrong, **named))
            made.append(row("without", found("stranger", 0.02, 0.2 + number / 50), **named))
    return made


def real(configuration: str) -> list[QueryRow]:
    named: dict[str, Any] = {"configuration": configuration, "group": "real"}
    copy = found("copy", 0.95, 0.7)
    return [
        row("all", copy, transform="copy", video_id="a", **named),
        row("with", copy, transform="copy", video_id="a", **named),
        row("without", found("lookalike", 0.4), transform="lookalike", video_id="b", **named),
    ]


RUN = [*rows("full"), *real("full"), *rows("peer-median", 3), *rows("peer-best-pair", 1)]
ABLATED = [
    *rows("full"),
    *rows("visual-only", 1),
    *rows("action-only", 6),
    *rows("paper-fusion", 2),
]
MEASURED = "commit a, two cores"
ABOUT: dict[str, Any] = {
    "cross_validated": True,
    "videos": 6,
    "families": 5,
    "copies": 2,
    "lookalikes": 1,
    "video_seconds": 300.0,
    "transforms": list(TRANSFORMS),
    "per_transform": None,
    "edits": 24,
    "action_energy": dict.fromkeys(FUSIONS, 0.028),
}


def test_a_run_leaves_tables_figures_and_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows-offline.jsonl"
    made = robustness_report(RUN, {"offline": path}, tmp_path)
    names = {one.relative_to(tmp_path).as_posix() for one in made.written}
    assert {"rows-offline.parquet", "tables/groups.md", "tables/peers.tex"} <= names
    assert {"figures/roc.png", "figures/reliability.pdf", "figures/flip_bias.png"} <= names
    assert made.notices == []
    peers = (tmp_path / "tables" / "peers.md").read_text()
    assert "peer-median: Recall@1, %" in peers
    # Probabilities of baselines mean nothing.
    assert "peer" not in (tmp_path / "tables" / "decisions.md").read_text()


def test_without_the_extra_tables_are_written_and_the_rest_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_has", lambda package: False)
    made = robustness_report(RUN, {"offline": tmp_path / "rows-offline.jsonl"}, tmp_path)
    assert [one.split(":")[0] for one in made.notices] == ["no Parquet", "no figures"]
    assert all("pip install -e '.[evaluation]'" in one for one in made.notices)
    assert (tmp_path / "tables" / "groups.tex").is_file()
    assert not (tmp_path / "figures").exists()


def test_rows_with_distractors_are_only_in_the_table_of_distractors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_has", lambda package: False)
    path = tmp_path / "rows-offline.jsonl"
    run = [*RUN, *rows("full+100", 3)]
    robustness_report(run, {"offline": path}, tmp_path)
    texts = {one.stem: one.read_text() for one in (tmp_path / "tables").glob("*.md")}
    assert [name for name, text in texts.items() if "full+100" in text] == ["distractors"]
    table = texts["distractors"].splitlines()
    assert [line.split("|")[2].strip() for line in table if line.startswith("| `full+100`")] == [
        "all", "paper", "temporal", "composed",
    ]  # fmt: skip
    assert "recall at 0.01 % FPR" in table[2]
    write_rows(path, run)
    (tmp_path / "robustness-offline.json").write_text(json.dumps(ABOUT))
    read = read_results(tmp_path)
    assert {one.configuration for one in read.distractors["offline"]} == {"full", "full+100"}
    assert read.robustness["offline"] == RUN


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are composed, but their files are empty: where the subject is the text beside them."""

    def save(_: Figure, path: Path, **options: Any) -> None:
        path.touch()

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.mark.usefixtures("unrendered")
def test_each_profile_has_an_ablation_of_its_own(tmp_path: Path) -> None:
    other = [*rows("full", profile="sscd-motion"), *rows("visual-only", 5, profile="sscd-motion")]
    paths = {name: tmp_path / f"ablation-{name}.jsonl" for name in ("offline", "sscd-motion")}
    ablation_report([*ABLATED, *other], paths, tmp_path, {"full": 0.028, "visual-only": 0.0})
    table = (tmp_path / "tables" / "ablation-sscd-motion.md").read_text()
    assert "| `visual-only` |" in table
    assert "paper-fusion" not in table
    assert "| `paper-fusion` |" in (tmp_path / "tables" / "fusion-offline.md").read_text()
    assert (tmp_path / "figures" / "composition.png").is_file()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    write_rows(folder / "rows-offline.jsonl", RUN)
    write_rows(folder / "ablation-offline.jsonl", ABLATED)
    for name in ("robustness", "ablation"):
        (folder / f"{name}-offline.json").write_text(json.dumps(ABOUT))
    timed = {"case": "copy", "decision": "copy", "seconds": {"first look: track": 0.5, "total": 2}}
    told = {"query_seconds": 60.0, "drawn": True, "vectors": 10000, "runs": 3, "cores": 2}
    (folder / "latency-offline.json").write_text(json.dumps({**told, "cases": [timed]}))
    return folder


@pytest.mark.usefixtures("unrendered")
def test_the_document_says_what_the_rows_say(results: Path, tmp_path: Path) -> None:
    kept = "<!-- figures: speed -->\n| step |\n<!-- end -->"
    search = kept.replace("speed", "search")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "evaluation.md").write_text(f"old words\n{kept}\n{search}\nmore")
    text = document(read_results(results), tmp_path, MEASURED)
    assert "old words" not in text
    assert kept in text
    assert "6 videos, 5.0 minutes in total, in 5 families" in text
    assert "Cross-validated: fitted on 4 of 5 folds" in text
    assert "| the paper's 14: Recall@1 | 100.0 [75.8, 100.0] | ≥ 99 | yes |" in text
    assert "| `offline` | 1 of 1 | 1 of 1 | 0 of 1 |" in text
    assert "No baseline is better in any group or transform." in text
    assert "| first pass: track | 500.0 |" in text
    assert "| `mix_6` | temporal |" in text
    assert "storyhash evaluate robustness --profile clip-sam2" in text
    shown = {line.split("(")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert shown == {f"figures/{one.name}" for one in (tmp_path / "docs" / "figures").iterdir()}
    assert document(read_results(results), tmp_path, MEASURED) == text


@pytest.mark.usefixtures("unrendered")
def test_a_part_without_results_keeps_its_text(results: Path, tmp_path: Path) -> None:
    text = document(read_results(results), tmp_path, MEASURED)
    path = tmp_path / "docs" / "evaluation.md"
    path.write_text(text)
    for name in ("ablation-offline.jsonl", "ablation-offline.json", "latency-offline.json"):
        (results / name).unlink()
    later = document(read_results(results), tmp_path, "commit b, another machine")
    assert later == text.replace(
        f"Measured at {MEASURED};", "Measured at commit b, another machine;"
    )
    assert later.count(f"This part was measured at {MEASURED}.") == 2
    path.unlink()
    assert "## Ablation" not in document(read_results(results), tmp_path, MEASURED)


@pytest.mark.usefixtures("unrendered")
def test_two_profiles_are_shown_together(results: Path, tmp_path: Path) -> None:
    write_rows(results / "rows-sscd-motion.jsonl", rows("full", 6, profile="sscd-motion"))
    (results / "robustness-sscd-motion.json").write_text(json.dumps(ABOUT))
    text = document(read_results(results), tmp_path, MEASURED)
    table = text.split("## Two profiles together")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    assert [(cells[1], cells[3]) for cells in lines if cells[2:3] == ["composed"]] == [
        ("`sscd-motion`", "0.0 [0.0, 39.0]"),
        ("`offline`", "100.0 [61.0, 100.0]"),
        ("`sscd-motion, then offline`", "100.0 [61.0, 100.0]"),
    ]
    goals = text.split("## Goals")[1].split("\n## ")[0]
    assert "sscd-motion, then offline: wanted" in goals
    assert "| photometric: Recall@1 |" in goals


def test_the_short_table_names_the_goal_that_is_missed() -> None:
    assert set(HEADLINES) <= {goal.what for goal in GOALS}
    table = headlines(targets_of({"offline": rows("full", 6)})).to_markdown()
    assert "| original found first: the paper's 14 edits | 100.0 [75.8, 100.0] |" in table
    assert " (goal: ≥ 88) |" in table
    assert len(table.splitlines()) == 2 + len(HEADLINES)


def test_results_that_lack_something_say_what(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="storyhash evaluate robustness"):
        read_results(tmp_path)
    (results / "ablation-offline.json").unlink()
    with pytest.raises(UsageError, match=r"ablation-offline\.json is missing"):
        read_results(results)


def test_a_better_baseline_is_named() -> None:
    words = prose.compared_with_baselines([*rows("full", 2), *rows("peer-median")])
    assert "A baseline is better in these groups: composed, Recall@1 (66.7 against 100.0)" in words
    assert "pip_small, recall at 1 % FPR" in words


def test_what_a_fusion_does_is_said_in_the_direction_it_went() -> None:
    words = prose.fusions(ABLATED, "offline")
    assert "queries gained 1, lost 0 (p 1.000)" in words
    assert "lowers recall at 1 % false positives from 95.8 to 91.7 %" in words
    assert prose.fusions(rows("full"), "offline") == ""


def test_every_goal_is_measured_and_what_is_not_is_not_met() -> None:
    made = targets_of({"offline": rows("full"), "clip-motion": rows("full")})
    assert len(made) == 2 * len(GOALS)
    met = {(one.what, one.profile): one.met for one in made}
    assert met["flip_v: Recall@1", "offline"] is True
    assert met["photometric: Recall@1", "offline"] is False
    assert met["flip_v: Recall@1", "clip-motion"] is None
    assert met["composed: Recall@1", "offline"] is None
