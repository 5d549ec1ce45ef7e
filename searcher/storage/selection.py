"""Which videos of the catalogue are meant: by bank, state and the beginning of the id."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Videos of a bank, in a state, whose id begins with `prefix`; an empty field selects all. banks: of
    these banks alone; None selects all."""

    bank: str = ""
    state: str = ""
    prefix: str = ""
    banks: tuple[str, ...] | None = None


ALL_VIDEOS = Selection()
# A condition on the rows of `videos`.
SELECTED = (
    "? IN ('', bank) AND ? IN ('', state) AND substr(video_id, 1, ?) = ? "
    "AND (? OR bank IN (SELECT value FROM json_each(?)))"
)


def selected_values(only: Selection) -> tuple[str, str, int, str, bool, str]:
    """The parameters of SELECTED."""
    text = (only.bank, only.state, len(only.prefix), only.prefix)
    return *text, only.banks is None, json.dumps(only.banks or ())
