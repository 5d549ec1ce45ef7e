#!/usr/bin/env python3
"""Take the pictures of the review page: docs/figures/page-{ask,queue,case,catalogue}-{light,dark}.png.

    python -m scripts.page_pictures

A service runs over the videos of `storyhash demo`, and a headless Chromium shows its page. Needs the
extra `test`, and `apt-get install chromium chromium-driver`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from PIL import Image

from common.types import UInt8Array
from common.video import encode_video
from storyhash.demo import CATALOGUE, FILM_SECONDS, write_catalogue
from storyhash.samples import FRAMES_PER_SECOND, film, mirror
from tests.support.browser import missing, opened_browser, set_colours, wait_for
from tests.support.services import Service

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
MAX_BYTES = 150_000
# Size of the page in pixels. A picture is as high as its content, up to a limit.
_WIDTH, _LEAST_HEIGHT, _MAX_HEIGHT = 1120, 420, 1280
_SCALE = 0.75
_OTHER_SEED, _OTHER_SECONDS = 103, 4
# The pictures of the deciding moments are drawn one after the other.
_SETTLE_SECONDS = 4.0


def upload() -> Iterator[UInt8Array]:
    """4 s of another video, then all of `city`, mirrored and cropped."""
    other = film(_OTHER_SEED, _OTHER_SECONDS)
    return chain(other, map(cropped, map(mirror, film(CATALOGUE["city"], FILM_SECONDS))))


def cropped(frame: UInt8Array) -> UInt8Array:
    """The middle of the picture, a tenth less on each side, as large as the whole."""
    height, width = frame.shape[:2]
    middle = frame[height // 10 : -(height // 10), width // 10 : -(width // 10)]
    return cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA)


@contextmanager
def served(scratch: Path) -> Iterator[str]:
    """The address of a service over the demo's videos."""
    films, data = scratch / "films", scratch / "data"
    films.mkdir()
    write_catalogue(films)
    command = ["index", films, "--data", data, "--profile", "offline"]
    kept = {**os.environ, "STORYHASH_THUMBNAILS__ENABLED": "true"}
    subprocess.run([sys.executable, "-m", "storyhash", *map(str, command)], check=True, env=kept)
    settings = {
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_HTTP__CONTENT_FOLDERS": json.dumps([str(films)]),
        "STORYHASH_PROFILE": "offline",
    }
    arguments = ("serve", "--data", data)
    service = Service("serve", arguments, scratch / "log", settings, preloaded=True)
    try:
        yield service.start().ready().url
    finally:
        service.stop()


def save(browser: Chrome, name: str) -> None:
    """Save what is shown, in light and in dark colours."""
    high = browser.execute_script("return document.querySelector('main > *').offsetHeight + 150")
    height = min(max(int(high), _LEAST_HEIGHT), _MAX_HEIGHT)
    clip = {"x": 0, "y": 0, "width": _WIDTH, "height": height, "scale": 1}
    for scheme in ("light", "dark"):
        set_colours(browser, scheme)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})
        path = FOLDER / f"page-{name}-{scheme}.png"
        path.write_bytes(_compressed(base64.b64decode(shot["data"])))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _compressed(png: bytes) -> bytes:
    """The picture with as many colours as MAX_BYTES allow. Raises ValueError if 32 are too many."""
    shown = Image.open(io.BytesIO(png)).convert("RGB")
    shown = shown.resize(
        (round(_SCALE * shown.width), round(_SCALE * shown.height)), Image.Resampling.LANCZOS
    )
    for colours in (256, 128, 64, 32):
        buffer = io.BytesIO()
        few = shown.quantize(colours, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True)
        if len(buffer.getvalue()) <= MAX_BYTES:
            return buffer.getvalue()
    raise ValueError(f"the picture has more than {MAX_BYTES} bytes; show less")


def main() -> None:
    """Write all pictures."""
    how = missing()
    if how:
        sys.exit(f"a browser is missing: {how}")
    with tempfile.TemporaryDirectory(prefix="storyhash-pictures-") as name:
        scratch = Path(name)
        copy = scratch / "holiday.mp4"
        encode_video(copy, upload(), FRAMES_PER_SECOND)
        with served(scratch) as url, opened_browser(_WIDTH, _MAX_HEIGHT) as browser:
            browser.get(f"{url}/#/catalogue")
            wait_for(browser, "canvas.shown")
            time.sleep(_SETTLE_SECONDS)
            save(browser, "catalogue")
            browser.get(f"{url}/#/ask")
            wait_for(browser, ".drop .hint", "videos")
            browser.find_element("id", "file").send_keys(str(copy))
            wait_for(browser, ".stills canvas")
            time.sleep(_SETTLE_SECONDS)
            save(browser, "ask")
            browser.get(f"{url}/#/queue")
            wait_for(browser, ".queue-row")
            save(browser, "queue")
            wait_for(browser, ".queue-row").click()
            wait_for(browser, ".screen button")
            chosen = browser.find_element("css selector", ".screen input[type=file]")
            chosen.send_keys(str(copy))
            wait_for(browser, ".stills canvas")
            time.sleep(_SETTLE_SECONDS)
            save(browser, "case")


if __name__ == "__main__":
    main()
