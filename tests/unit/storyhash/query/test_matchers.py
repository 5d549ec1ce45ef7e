"""Banks that the settings name must be in the catalogue."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from common.errors import SettingsError
from common.settings import MatchingSettings, PolicySettings
from searcher.local_index import LocalIndex
from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from storyhash.query.matchers import check_banks, matcher_over


def index_of(path: Path, *banks: str) -> LocalIndex:
    videos = VideoStore(Database(path))
    videos.begin(*(Video(f"film-{bank}", "/film", bank=bank, version=1) for bank in banks))
    manifest = SimpleNamespace(model_id="model")
    return cast(LocalIndex, SimpleNamespace(videos=videos, notices=[], manifest=manifest))


def settings_of(*banks: str) -> MatchingSettings:
    return MatchingSettings(banks={bank: PolicySettings(min_seconds=2) for bank in banks})


def test_a_bank_of_the_settings_that_no_video_is_in_is_refused(tmp_path: Path) -> None:
    index = index_of(tmp_path / "videos.sqlite", "news", "sport")
    check_banks(index, settings_of("news"))
    check_banks(index, settings_of())
    with pytest.raises(
        SettingsError, match=r"BANKS: no video is in bank 'new'; .* 'news', 'sport'"
    ):
        check_banks(index, settings_of("news", "new"))


def test_an_empty_catalogue_may_get_any_bank(tmp_path: Path) -> None:
    check_banks(index_of(tmp_path / "videos.sqlite"), settings_of("news"))


def test_a_searcher_that_follows_a_log_tells_of_an_unknown_bank(tmp_path: Path) -> None:
    index = index_of(tmp_path / "videos.sqlite", "sport")
    matcher_over(index, "offline", settings_of("sport"))
    assert index.notices == []
    matcher_over(index, "offline", settings_of("news"))
    (notice,) = index.notices
    assert "no video is in bank 'news'" in notice
