"""The only import of ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def onnx_runtime() -> Any:
    """The module `onnxruntime`, which sends nothing. Raises ImportError.

    Its packages since 1.29 send usage data to Microsoft and write a file with an id into the temporary
    folder, unless this variable is set when they are imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def open_session(path: Path, threads: int) -> Any:
    """A session of a network on the CPU. Raises ImportError, and ONNX Runtime's own errors."""
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait would take the cores from the decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
