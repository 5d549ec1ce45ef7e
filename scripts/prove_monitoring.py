#!/usr/bin/env python3
"""Run `storyhash serve` under a real Prometheus, and print what every panel and every rule shows.

python -m scripts.prove_monitoring                 60 s of matches, searches, uploads and mistakes
python -m scripts.prove_monitoring --seconds 600   longer
python -m scripts.prove_monitoring --problems      only what is empty or fails

It needs Prometheus (apt-get install prometheus). Exit code 1 if an expression fails, if one is empty that
should not be, or if an alert fires. For the services over Kafka: tests/e2e/test_monitoring.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.dashboards.board import SERVE
from tests.e2e.conftest import draw
from tests.support.monitoring import serve_watched


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--problems", action="store_true", help="print only what is wrong")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="storyhash-monitoring-") as folder,
        serve_watched(Path(folder), draw, chosen.seconds) as watched,
    ):
        findings, firing = watched.findings((SERVE,)), watched.firing()
        seconds = watched.end - watched.start
    wrong = [one for one in findings if one.problem]
    for one in wrong if chosen.problems else findings:
        print(f"{'PROBLEM' if one.problem else 'ok':8}{one.where}: {one.problem or one.shows}")
    print(
        f"{len(findings)} expressions over {seconds:.0f} s: {len(wrong)} fail or are empty without a "
        f"reason; alerts that fire: {', '.join(sorted(firing)) or 'none'}"
    )
    return 1 if wrong or firing else 0


if __name__ == "__main__":
    sys.exit(main())
