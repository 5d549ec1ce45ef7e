"""A process that only answers says who does what it does not."""

from __future__ import annotations

import pytest

from common.http.errors import ApiError
from storyhash.services.serve.answering_only import AnsweringCatalogue


def test_a_deletion_is_for_the_process_that_indexes() -> None:
    with pytest.raises(ApiError, match="delete it at the process that indexes") as refused:
        AnsweringCatalogue().delete_video("a.mp4")
    assert (refused.value.status, refused.value.code) == (501, "not_here")
