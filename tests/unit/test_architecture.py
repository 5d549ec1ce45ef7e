"""Imports run one way, and importing does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.reference import PATH, reference

ROOT = Path(__file__).parents[2]


def test_imports_run_in_one_direction() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("module", ["ingest.decoder_work", "embedder.clip_processes"])
def test_the_decoder_processes_import_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformers", "onnxruntime", "faiss", "httpx", "pydantic_settings", "rich"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert (run.returncode, run.stdout) == (0, "\n"), run.stderr


def test_readme_opens_with_two_commands_of_one_line_each() -> None:
    blocks = (ROOT / "README.md").read_text().split("```sh\n")[1:]
    commands = [block.split("\n```")[0] for block in blocks[:2]]
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)
    assert commands[0].endswith("storyhash demo")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    test_command = (ROOT / "README.md").read_text().split("```sh\n")[2].split("\n```")[0]
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_reference_is_fresh() -> None:
    assert PATH.read_text(encoding="utf-8") == reference(), "run: python -m scripts.reference"
