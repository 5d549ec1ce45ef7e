"""API keys for a service that a scenario starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support import preloaded as processes
from tests.support.services import ROOT, clean_environment


def create_key(
    data: Path,
    name: str,
    settings: Mapping[str, str],
    role: str = "reader",
    bank: str | None = None,
) -> str:
    """Create a key with the command line, before the service starts; returns its text."""
    made = processes.run(
        [
            *("storyhash", "keys", "create", name, "--role", role, "--data", str(data), "--json"),
            *(("--bank", bank) if bank else ()),
        ],
        env=clean_environment(settings),
        cwd=ROOT,
        start=processes.start_python,
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
    return str(json.loads(made.stdout)["key"])


def headers_of(token: str) -> dict[str, str]:
    """The request headers with a key."""
    return {"Authorization": f"Bearer {token}"}
