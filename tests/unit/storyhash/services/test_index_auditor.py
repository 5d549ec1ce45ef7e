"""Every index that answers is audited, and the metrics have the worst value."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from common.metrics import Metrics
from common.settings import Settings
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from storyhash.services.background import end_all
from storyhash.services.index_auditor import IndexAuditor
from tests.support.embeddings import MODEL_ID, video
from tests.support.services import wait_until


def opened(folder: Path, rng: np.random.Generator, *names: str) -> LocalIndex:
    index = LocalIndex.open_writer(folder, FolderManifest("test", MODEL_ID), Settings())
    for name in names:
        index.replace_video(Video(name, f"/{name}", version=1), video(rng, name, 4))
    return index


def test_what_is_wrong_with_the_second_index_is_found_too(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics.create("test")

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"storyhash_{name}_ratio")

    with (
        caplog.at_level(logging.ERROR, "storyhash.audit"),
        opened(tmp_path / "first", rng, "a", "b") as first,
        opened(tmp_path / "second", rng, "a", "b") as second,
    ):
        second.mirror.delete_video("b")
        auditor = IndexAuditor(lambda: [first, second], metrics, 0.001)
        auditor.start()
        try:
            wait_until(lambda: value("mirror_divergence") == 0.5, "the audit", 300, 0.001)
        finally:
            end_all([auditor])
    assert value("index_recall") == 1.0
    assert f"the index in {tmp_path / 'second'} has only a part of b" in caplog.text
    assert str(tmp_path / "first") not in caplog.text


def test_one_index_that_cannot_be_audited_leaves_the_other(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    metrics = Metrics.create("test")
    recall = "storyhash_index_recall_ratio"
    closed = opened(tmp_path / "closed", rng, "a")
    closed.close()
    with opened(tmp_path / "open", rng, "a") as index:
        auditor = IndexAuditor(lambda: [closed, index], metrics, 0.001)
        metrics.index_recall_ratio.set(0)
        auditor.start()
        try:
            wait_until(
                lambda: metrics.registry.get_sample_value(recall) == 1.0, "the audit", 300, 0.001
            )
        finally:
            end_all([auditor])
