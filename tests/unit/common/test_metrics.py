"""Metrics: labels that users choose are bounded, and what is not measured is no number."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from common.metrics import BoundedLabels, Metrics


def test_values_beyond_the_bound_share_one_label() -> None:
    labels = BoundedLabels(2)
    assert [labels.of(bank) for bank in ("a", "b", "c", "a", "d")] == [
        *("a", "b", BoundedLabels.OTHER, "a", BoundedLabels.OTHER)
    ]


def test_the_disk_of_the_data_folder_is_measured_at_each_scrape(tmp_path: Path) -> None:
    metrics = Metrics.create("serve")

    def value(name: str) -> float:
        sample = metrics.registry.get_sample_value(f"storyhash_data_{name}_bytes")
        assert sample is not None
        return sample

    assert math.isnan(value("free"))
    metrics.watch_data_folder(tmp_path / "data")
    assert math.isnan(value("free"))
    (tmp_path / "data").mkdir()
    assert 0 < value("free") < value("size")


@pytest.mark.parametrize("service", ["serve", "ingest", "search"])
def test_counters_of_failures_begin_at_zero(service: str) -> None:
    registry = Metrics.create(service).registry
    stage = "search" if service == "serve" else service
    labels = {"stage": stage, "outcome": "failed"}
    assert registry.get_sample_value("storyhash_videos_total", labels) == 0
