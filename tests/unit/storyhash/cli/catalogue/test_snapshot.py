"""`storyhash snapshot` over a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from common.errors import UsageError
from searcher.backup.create import Source, create_backup
from searcher.local_index import LocalIndex
from storyhash.cli import app
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row


def test_a_folder_that_is_no_backup_hides_no_damage_of_the_others(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with LocalIndex.open_writer(tmp_path / "data", MANIFEST, SETTINGS) as index:
        index.replace_video(row("a"), video(rng, "a", 3))
        source = Source(index, index.folder, "", state_is_elsewhere=False)
        good, damaged = (create_backup(source, tmp_path / "backups") for _ in range(2))
    (damaged / "videos.sqlite").unlink()
    other = tmp_path / "other"
    other.mkdir()
    run = CliRunner().invoke(app, ["snapshot", "verify", *map(str, (other, good, damaged))])
    assert isinstance(run.exception, UsageError)
    assert f"{good}: good" in run.output
    assert f"{damaged}: videos.sqlite is missing" in run.output
