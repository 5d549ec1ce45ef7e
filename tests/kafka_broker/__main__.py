"""`python -m tests.kafka_broker [--nodes 3]`: brokers that run until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from tests.kafka_broker.broker import KafkaBroker, KafkaCluster


def main() -> None:
    parser = argparse.ArgumentParser(description="Run Kafka until Ctrl-C; nothing is kept.")
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3))
    nodes = parser.parse_args().nodes
    # The brokers are processes of their own: they must be stopped, also when this one is told to end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        made = KafkaBroker(Path(folder)) if nodes == 1 else KafkaCluster(Path(folder), nodes)
        with made:
            sys.stdout.write(f"STORYHASH_KAFKA__BOOTSTRAP_SERVERS={made.bootstrap_servers}\n")
            sys.stdout.flush()
            signal.pause()


if __name__ == "__main__":
    main()
