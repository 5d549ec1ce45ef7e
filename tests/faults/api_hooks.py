"""What schemathesis leaves out and puts in; it imports this module itself."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from typing import Any

import schemathesis

IDS, OWN_KEY = "STORYHASH_FUZZ_IDS", "STORYHASH_FUZZ_OWN_KEY"
_TIMEOUT_HEADER, _MOST_MILLISECONDS = "X-Request-Timeout-Ms", 60_000
# A value for each path parameter: of things that exist.
_ids: Mapping[str, Any] = json.loads(os.environ.get(IDS, "{}"))
_chance = random.Random(5)


@schemathesis.hook  # type: ignore[untyped-decorator, unused-ignore]
def filter_case(context: Any, case: Any) -> bool:
    """Invalid forms are left out: whatever the field `file` holds is sent as bytes, which are a file. So
    is what would revoke the key of all requests."""
    of_form = case.media_type == "multipart/form-data"
    is_own = (case.path_parameters or {}).get("key_id") == os.environ.get(OWN_KEY)
    if case.method.upper() == "DELETE" and is_own:
        return False
    return not (of_form and case.meta is not None and case.meta.generation.mode.is_negative)


@schemathesis.hook  # type: ignore[untyped-decorator, unused-ignore]
def map_case(context: Any, case: Any) -> Any:
    """Half of the valid requests of the fuzzing are about things that exist; generated ids name none. A
    time limit of a request is the longest one: the answer to a short one is 504, as it was asked for."""
    meta = case.meta
    if meta is None or getattr(meta.phase.data, "parameter", None) == "Authorization":
        # A change of its headers would put back the key that it leaves out.
        return case
    limit = str((case.headers or {}).get(_TIMEOUT_HEADER, ""))
    if limit.isdecimal() and 0 < int(limit) <= _MOST_MILLISECONDS:
        case.headers[_TIMEOUT_HEADER] = str(_MOST_MILLISECONDS)
    if meta.generation.mode.is_negative or meta.phase.name != "fuzzing":
        return case
    if case.path_parameters and _chance.random() < 0.5:
        case.path_parameters = {
            name: _ids.get(name, value) for name, value in case.path_parameters.items()
        }
    return case
