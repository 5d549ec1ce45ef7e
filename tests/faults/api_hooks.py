"""What schemathesis leaves out; it imports this module itself."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook  # type: ignore[untyped-decorator, unused-ignore]
def filter_case(context: Any, case: Any) -> bool:
    """Invalid forms are left out: whatever the field `file` holds is sent as bytes, which are a file."""
    of_form = case.media_type == "multipart/form-data"
    return not (of_form and case.meta is not None and case.meta.generation.mode.is_negative)
