"""The hub's progress as plain lines, if no terminal can draw its bars."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

_EVERY_SECONDS = 10.0


def plain_progress(print_line: Callable[[str], None]) -> type[Any]:
    """A class for the hub's `tqdm_class`, whose bars print a line every ten seconds together."""
    from huggingface_hub.utils import tqdm

    last = time.monotonic()

    class Lines(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            # tqdm's own output moves the cursor.
            plain = {"file": io.StringIO(), "disable": False, "mininterval": 1.0, "leave": False}
            options.pop("name", None)
            # Skips the hub's class, which draws nothing if transformers disabled its bars.
            super(tqdm, self).__init__(*arguments, **{**options, **plain})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            nonlocal last
            if msg == "" or not self.n or time.monotonic() - last < _EVERY_SECONDS:
                return
            last = time.monotonic()
            print_line(_line(self.format_dict))

    return Lines


def _line(state: dict[str, Any]) -> str:
    done, total, elapsed = state["n"], state["total"], state["elapsed"]
    scale, unit = (1e6, "MB") if state["unit"] == "B" else (1, state["unit"].strip())
    rate = done / elapsed if elapsed else 0.0
    parts = [f"{(state['prefix'] or 'downloading').strip(': ')} {done / scale:.0f}"]
    if total:
        parts[0] += f"/{total / scale:.0f}"
    parts[0] += f" {unit}"
    if rate:
        parts.append(f"{rate / scale:.1f} {unit} per second")
    if total and rate and total > done:
        parts.append(f"{(total - done) / rate:.0f} s left")
    return ", ".join(parts)
