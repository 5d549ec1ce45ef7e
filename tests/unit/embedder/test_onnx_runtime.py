"""ONNX Runtime sends nothing about its users."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import embedder
from tests.support.services import ROOT

_IMPORT = re.compile(r"^\s*(import onnxruntime|from onnxruntime)", re.MULTILINE)


def test_it_leaves_no_id_in_the_temporary_folder(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    code = "from embedder.onnx_runtime import onnx_runtime; onnx_runtime()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=ROOT)
    assert list(tmp_path.iterdir()) == []


def test_it_is_imported_in_one_place() -> None:
    folder = Path(str(embedder.__file__)).parent
    found = [path.name for path in folder.rglob("*.py") if _IMPORT.search(path.read_text())]
    assert found == ["onnx_runtime.py"]
