"""The state that the command line shares with a service."""

from __future__ import annotations

from pathlib import Path

from common.settings import Settings
from common.state.files import FILES
from common.state.matches import FoundMatch, MatchFilter
from storyhash.open_state import forget_videos, open_state


def test_a_deleted_video_takes_its_matches_along(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with open_state(settings) as state:
        pairs = [("video:gone", "a"), ("sha256:1", "gone"), ("video:b", "a")]
        ids = state.matches.record(
            [FoundMatch(query, ref, "b", None, "copy", 0.9, {}) for query, ref in pairs]
        )
    forget_videos(settings, ["gone"])
    with open_state(settings) as state:
        assert [one.id for one in state.matches.page(MatchFilter(), None, 9)[0]] == ids[2:]
        ((told,), *_) = state.audit.page()
        assert (told["action"], told["object"]) == ("videos.delete", "gone")


def test_where_no_state_is_kept_none_is_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    forget_videos(settings, ["gone"])
    assert not (settings.data_dir / FILES[0]).exists()
