"""A strip of 1600x288, whose flow once ended the process, through every way in."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np

from common.video import encode_video
from storyhash.samples import film
from tests.e2e.conftest import COMPARED, storyhash
from tests.e2e.test_serve import SETTINGS
from tests.support.services import Service


def strip(path: Path, seed: int = 1) -> Path:
    """2 s, 1600x288."""
    frames = (np.tile(frame, (1, 8, 1))[:288, :1600] for frame in film(seed, 2.0))
    shown = (np.pad(one, ((0, 288 - one.shape[0]), (0, 0), (0, 0)), "wrap") for one in frames)
    encode_video(path, shown, 8.0)
    return path


def test_a_wide_strip_is_indexed_and_matched_by_command_and_service(tmp_path: Path) -> None:
    wide, data = strip(tmp_path / "strip.mp4"), tmp_path / "data"
    indexed = storyhash("index", wide, "--data", data, "--profile", "offline", "--json")
    assert indexed.exit_code == 0, indexed.stderr
    assert indexed.json["indexed"] == 1
    matched = storyhash("match", wide, "--data", data, "--json", **COMPARED)
    assert matched.exit_code == 0, matched.stderr
    assert matched.lines[0]["decision"] == "copy"
    arguments, log = ("serve", "--data", data), tmp_path / "serve.log"
    service = Service("serve", arguments, log, SETTINGS, preloaded=True)
    service.start().ready()
    try:
        with httpx.Client(base_url=service.url, timeout=120) as client:
            content = wide.read_bytes()
            answer = client.post(
                "/v1/match", content=content, headers={"Content-Type": "video/mp4"}
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["decision"] == "copy"
        assert service.running
    finally:
        assert service.stop() == 0
