"""Which videos of the catalogue are meant: by bank, state, the beginning of the id, and text."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Videos of a bank, in a state, whose id begins with `prefix`, and whose id or title contains `text`
    (capital and small ASCII letters are alike); an empty field selects all. banks: of these banks alone;
    None selects all."""

    bank: str = ""
    state: str = ""
    prefix: str = ""
    banks: tuple[str, ...] | None = None
    text: str = ""

    def names(self, video_id: str, title: str) -> bool:
        """Whether id and title are those of a selected video; outside of SQL."""
        text = _lower(self.text)
        return video_id.startswith(self.prefix) and (
            text in _lower(video_id) or text in _lower(title)
        )


def _lower(text: str) -> str:
    """As SQLite's `lower`."""
    return "".join(one.lower() if one.isascii() else one for one in text)


ALL_VIDEOS = Selection()
# A condition on the rows of `videos`.
SELECTED = (
    "? IN ('', bank) AND ? IN ('', state) AND substr(video_id, 1, ?) = ? "
    "AND (? OR bank IN (SELECT value FROM json_each(?))) "
    "AND (? OR instr(lower(video_id), lower(?)) OR instr(lower(title), lower(?)))"
)


def selected_values(only: Selection) -> tuple[str | int | bool, ...]:
    """The parameters of SELECTED."""
    fields = (only.bank, only.state, len(only.prefix), only.prefix)
    banks = (only.banks is None, json.dumps(only.banks or ()))
    return *fields, *banks, not only.text, only.text, only.text
