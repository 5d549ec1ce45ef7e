"""The only import of ONNX Runtime."""

from __future__ import annotations

import os
from typing import Any


def onnx_runtime() -> Any:
    """The module `onnxruntime`, which sends nothing. Raises ImportError.

    Its packages since 1.29 send usage data to Microsoft and write a file with an id into the temporary
    folder, unless this variable is set when they are imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime
