"""What opening a catalogue needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from common.settings import load_settings
from storyhash.wiring import open_rows


def test_rows_of_an_index_that_is_not_there_are_none_and_need_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with open_rows(load_settings(data_dir=tmp_path / "data")) as videos:
        assert list(videos.all()) == []
        assert videos.next_version("a.mp4") == 1
    assert list(tmp_path.iterdir()) == []
