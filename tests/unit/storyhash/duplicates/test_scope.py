"""Which videos `videos duplicates PATH` compares."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from storyhash.duplicates.scope import videos_below


def test_a_path_that_cannot_be_looked_at_is_named_with_the_reason() -> None:
    with pytest.raises(UsageError, match="File name too long"):
        videos_below(f"/{'x' * 300}/a.mp4", {})
