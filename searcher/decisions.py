"""What is decided about a match, and what to do about it. It imports nothing: clients need it too."""

from __future__ import annotations

from typing import Literal, TypeAlias

Decision: TypeAlias = Literal["copy", "review", "no_match"]
Action: TypeAlias = Literal["block", "review", "notify", "allow"]
