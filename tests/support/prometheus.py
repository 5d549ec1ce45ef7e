"""A real Prometheus process, configured as in deploy/, with the addresses of the tested services."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.conftest import skip_or_fail
from tests.deploy.files import PROMETHEUS_CONFIG, RULES
from tests.kafka_broker.broker import free_ports

_START_SECONDS = 300.0
_HOW = (
    "install the package prometheus (apt-get install prometheus), or set STORYHASH_TEST_PROMETHEUS"
)


def prometheus() -> str:
    """The path of Prometheus: STORYHASH_TEST_PROMETHEUS or the one on PATH. Skips the test if there is
    none."""
    return (
        os.environ.get("STORYHASH_TEST_PROMETHEUS")
        or shutil.which("prometheus")
        or skip_or_fail("prometheus", f"{_HOW} to its path")
    )


def promtool() -> str:
    """The path of promtool: beside Prometheus or on PATH. Skips the test if there is none."""
    beside = shutil.which("promtool", path=str(Path(prometheus()).parent))
    return beside or shutil.which("promtool") or skip_or_fail("prometheus", f"{_HOW} (promtool)")


class Prometheus:
    """Scrapes every second, with a configuration of deploy/prometheus and other addresses."""

    def __init__(
        self, folder: Path, targets: Mapping[str, Sequence[str]], config: Path = PROMETHEUS_CONFIG
    ) -> None:
        """targets: for each job of the configuration, the addresses (HOST:PORT) to scrape instead; jobs
        without one are left out."""
        self._source = config
        (self._port,) = free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._targets = {**targets, "prometheus": [f"127.0.0.1:{self._port}"]}
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=300)

    @property
    def _config(self) -> Path:
        return self._folder / "prometheus.yml"

    def ask(self, path: str, **parameters: Any) -> Any:
        """The data of a response of its HTTP API. Raises RuntimeError with the error of the response."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        told = answer.json()
        if told["status"] != "success":
            raise RuntimeError(f"{parameters}: {told['error']}")
        return told["data"]

    def values(self, expression: str, start: float, end: float) -> list[float]:
        """All values of an expression, in all its series: at `end` and at each full second before it,
        back to `start`."""
        first = end - math.floor(end - start)
        series = self.ask("query_range", query=expression, start=first, end=end, step=1)["result"]
        return [float(value) for one in series for _, value in one["values"]]

    def now(self, expression: str) -> list[float]:
        """The current value of an expression in each of its series."""
        return [float(one["value"][1]) for one in self.ask("query", query=expression)["result"]]

    def __enter__(self) -> Self:
        self._write()
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(prometheus(), f"--config.file={self._config}"),
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if self._client.get("/-/ready").status_code == 200:
                    return self
            time.sleep(0.05)
        self._process.kill()
        told = (self._folder / "prometheus.log").read_text()
        raise RuntimeError(f"Prometheus did not start:\n{told[-3000:]}")

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _write(self) -> None:
        config = yaml.safe_load(self._source.read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        rules = yaml.safe_load(RULES.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
        (self._folder / RULES.name).write_text(yaml.safe_dump(rules))
        # Nobody is told of an alert here, and nothing asks for a key.
        del config["alerting"]
        config["scrape_configs"] = [
            {"job_name": name, "static_configs": [{"targets": list(self._targets[name])}]}
            for name in (job["job_name"] for job in config["scrape_configs"])
            if name in self._targets
        ]
        self._config.write_text(yaml.safe_dump(config))
