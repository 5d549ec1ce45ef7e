#!/usr/bin/env python3
"""Run `storyhash serve` under a real Prometheus, and print what every panel and every rule shows.

python -m scripts.prove_monitoring                60 s of matches, searches, uploads and mistakes
python -m scripts.prove_monitoring --seconds 600  longer
python -m scripts.prove_monitoring --problems     only what is empty or fails
python -m scripts.prove_monitoring --kafka        the services over Kafka, while each thing happens once
python -m scripts.prove_monitoring --save FILE    also write what panels show, for scripts.panel_pictures

It needs Prometheus (apt-get install prometheus), and with --kafka Java 17 and Maven. Exit code 1 if an
expression fails, if one is empty that should not be, or if an alert fires. With --kafka one dead letter
is sent, so its alert should fire. If STORYHASH_TEST_QDRANT_SERVER names an executable of Qdrant, it is
the mirror.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from scripts.panel_data import panel_data
from tests.e2e.conftest import draw
from tests.e2e.test_monitoring import kafka_watched
from tests.support.monitoring import serve_watched


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--kafka", action="store_true", help="the services over Kafka")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write what each panel shows")
    parser.add_argument("--problems", action="store_true", help="print only what is wrong")
    chosen = parser.parse_args()
    expected = {"StoryHashDeadLetters"} if chosen.kafka else set()
    with tempfile.TemporaryDirectory(prefix="storyhash-monitoring-") as name:
        folder = Path(name)
        run = kafka_watched(folder) if chosen.kafka else serve_watched(folder, draw, chosen.seconds)
        with run as watched:
            findings, firing = watched.findings(watched.jobs()), watched.firing()
            seconds = watched.end - watched.start
            if chosen.save is not None:
                chosen.save.write_text(json.dumps(panel_data(watched)))
    wrong = [one for one in findings if one.problem]
    for one in wrong if chosen.problems else findings:
        print(f"{'PROBLEM' if one.problem else 'ok':8}{one.where}: {one.problem or one.shows}")
    print(
        f"{len(findings)} expressions over {seconds:.0f} s: {len(wrong)} fail or are empty without a "
        f"reason; alerts that fire: {', '.join(sorted(firing)) or 'none'}"
    )
    return 1 if wrong or firing != expected else 0


if __name__ == "__main__":
    sys.exit(main())
