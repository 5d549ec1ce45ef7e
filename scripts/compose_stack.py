"""One start of a Compose file of deploy/, under a project name of its own and on free ports."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.errors import DependencyError, StoryHashError, UsageError

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
# Also the project name, so that containers and volumes of a real deployment are left alone.
PROJECT = "storyhash-prove"
# A build downloads packages; a start may wait for a broker and a network.
_TIMEOUT_SECONDS = 1800.0


# Of a health check on a slow machine. Those of the files are for one with cores to spare.
_SLOW = "{start_period: 1800s, timeout: 60s, retries: 30}"


def override(
    services: Mapping[str, Mapping[str, Any]], without: Sequence[str], *, slow: bool = False
) -> str:
    """A Compose file that publishes every port of `services` on a free port of this machine, and gives
    services in `without` a profile that is never chosen. slow: health checks get more time. Raises
    UsageError for an unknown service."""
    unknown = set(without) - set(services)
    if unknown:
        raise UsageError(
            f"no service {', '.join(sorted(unknown))}; choose from: {', '.join(services)}"
        )
    lines = ["services:"]
    for name, service in services.items():
        ports = [f'"127.0.0.1::{port.rsplit(":")[-1]}"' for port in service.get("ports", ())]
        added = [f"    ports: !override [{', '.join(ports)}]"] if ports else []
        if slow and not service.get("healthcheck", {}).get("disable"):
            added.append(f"    healthcheck: {_SLOW}")
        if name in without:
            added.append("    profiles: [left-out]")
        if added:
            lines += [f"  {name}:", *added]
    return "\n".join(lines) + "\n"


class Stack:
    """The services of one Compose file. `down` deletes containers, and with `volumes` all data."""

    def __init__(
        self,
        file: Path,
        folder: Path,
        videos: Path,
        without: Sequence[str],
        more: Sequence[Path],
        *,
        slow: bool = False,
    ) -> None:
        """folder: for a file of this class. videos: mounted as `VIDEOS`. more: Compose files that are
        added. slow: health checks get more time. Raises UsageError for an unknown service in
        `without`."""
        services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
        ours = folder / "override.yaml"
        ours.write_text(override(services, without, slow=slow), encoding="utf-8")
        files = [word for one in (file, ours, *more) for word in ("--file", str(one))]
        self._command = ["docker", "compose", "--project-name", PROJECT, *files]
        self.qdrant_key = secrets.token_hex(16)
        self._environment = {
            **os.environ,
            "QDRANT_API_KEY": self.qdrant_key,
            "GRAFANA_PASSWORD": secrets.token_hex(16),
            "VIDEOS": str(videos),
        }

    def set(self, name: str, value: str) -> None:
        """Set a variable of `.env` from now on."""
        self._environment[name] = value

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose ARGUMENTS` to its end. Raises DependencyError without docker or in time-out."""
        return self._run([*self._command, *arguments])

    def must(self, *arguments: str) -> str:
        """Standard output of `docker compose ARGUMENTS`. Raises StoryHashError if it fails."""
        run = self.run(*arguments)
        if run.returncode:
            why = " ".join((run.stderr or run.stdout).split())[-600:]
            raise StoryHashError(f"docker compose {' '.join(arguments)} failed: {why}")
        return run.stdout

    def inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the container of a service."""
        return self.run("exec", "-T", service, *command)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What `docker inspect` says of the containers of a service (default: all), also ended ones."""
        ids = self.must("ps", "--all", "--quiet", *([service] if service else [])).split()
        if not ids:
            return []
        return list(json.loads(self._run(["docker", "inspect", *ids]).stdout))

    def address(self, service: str, port: int) -> str:
        """The URL of a published port."""
        return f"http://{self.must('port', service, str(port)).strip()}"

    def down(self, *, volumes: bool) -> None:
        """Stop and delete the containers, and with `volumes` all they stored."""
        self.must("--profile", "*", "down", "--remove-orphans", *(["--volumes"] if volumes else []))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except OSError as error:
            raise DependencyError(
                f"{error}; install Docker Engine 25 with Compose 2.24.4"
            ) from None
        except subprocess.TimeoutExpired:
            raise DependencyError(
                f"no end after {_TIMEOUT_SECONDS:.0f} s: {' '.join(command)}"
            ) from None
