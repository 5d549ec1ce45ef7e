"""A real Kafka broker, or three of them, as processes of this machine. Needs Java 17 and Maven."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

KAFKA_VERSION = "4.1.1"
_START_SECONDS = 240.0
_CLUSTER_ID = "c3RvcnloYXNoLXRlc3RzAA"
# Small and quick: no waiting for further members, short sessions, cleaning as soon as there is dirt.
_CONFIG = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.backoff.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.dedupe.buffer.size": "8388608",
    # No record twice a second that says nothing: the broker of a run is idle most of the time.
    "metadata.max.idle.interval.ms": "0",
    # A broker that was killed may not come back before its old session has ended.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}


class BrokerFailedError(RuntimeError):
    """A broker did not come up; the message ends with the tail of its log."""


def can_run() -> bool:
    """Are Java and Maven there?"""
    return shutil.which("java") is not None and shutil.which("mvn") is not None


def cache_folder() -> Path:
    """Where the jars are kept between runs: STORYHASH_TEST_CACHE, or a folder of the user's."""
    named = os.environ.get("STORYHASH_TEST_CACHE")
    root = Path(named) if named else Path.home() / ".cache" / "storyhash-tests"
    return root / f"kafka-{KAFKA_VERSION}"


def jars() -> Path:
    """The folder of the broker's jars; fetched by Maven the first time (43 MB)."""
    folder = cache_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        # Two test processes want them at once, and Maven's own cache is for one at a time.
        (folder.parent / "lock").open("w") as lock,
        tempfile.TemporaryDirectory(dir=folder.parent) as part,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        fetched = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(Path(__file__).with_name("pom.xml"))),
                *("dependency:copy-dependencies", "-DincludeScope=runtime"),
                f"-Dkafka.version={KAFKA_VERSION}",
                f"-DoutputDirectory={part}/lib",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise BrokerFailedError(f"Maven could not fetch Kafka: {fetched.stdout[-2000:]}")
        Path(part, "lib").rename(folder)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class KafkaBroker:
    """One broker that is its own controller, or a node of a KafkaCluster.

    Stopped, killed and started again it has the same port and the same logs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        node_id: int = 1,
        ports: tuple[int, int] | None = None,
        voters: str | None = None,
        replicas: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.node_id = node_id
        self.port, self._controller_port = ports or tuple(free_ports(2))
        self._voters = voters or f"{node_id}@127.0.0.1:{self._controller_port}"
        self._replicas = replicas
        self._config = dict(config or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrokerFailedError("the broker was not started")
        return self._process.pid

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    def start(self) -> Self:
        """Start it, formatting its folder the first time, and wait until it answers."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        if not (self.folder / "data").exists():
            self._format()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_java(), "kafka.Kafka", str(self._properties)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return when it takes connections. Raises BrokerFailedError."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise BrokerFailedError(f"the broker did not start:\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        """The end of what it printed."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to say goodbye."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop if it runs, and start again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(number)
        # A stopped process dies of SIGTERM only when it goes on.
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        listeners = (
            f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}"
        )
        replicas = str(self._replicas)
        config = {
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "controller.quorum.voters": self._voters,
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "default.replication.factor": replicas,
            "min.insync.replicas": str(max(1, self._replicas - 1)),
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": str(max(1, self._replicas - 1)),
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": str(max(1, self._replicas - 1)),
            **_CONFIG,
            **self._config,
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in config.items()))
        # What formatting writes is the same for all brokers but for two lines, and the tool is a JVM.
        formatted, data = jars() / "bootstrap.checkpoint", self.folder / "data"
        if formatted.exists():
            data.mkdir()
            shutil.copy(formatted, data)
            (data / "meta.properties").write_text(
                f"version=1\ncluster.id={_CLUSTER_ID}\nnode.id={self.node_id}\n"
            )
            return
        done = subprocess.run(
            [
                *(*_java(), "kafka.tools.StorageTool", "format"),
                *("-t", _CLUSTER_ID, "-c", str(self._properties)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerFailedError(
                f"the storage could not be formatted:\n{done.stdout}{done.stderr}"
            )
        part = formatted.with_suffix(f".{os.getpid()}")
        shutil.copy(data / formatted.name, part)
        part.replace(formatted)


class KafkaCluster:
    """Brokers that replicate one another: three copies, two must be in step."""

    def __init__(
        self, folder: Path, nodes: int = 3, *, config: Mapping[str, str] | None = None
    ) -> None:
        ports = free_ports(2 * nodes)
        voters = ",".join(f"{i + 1}@127.0.0.1:{ports[nodes + i]}" for i in range(nodes))
        self.brokers = [
            KafkaBroker(
                folder / f"node-{i + 1}",
                node_id=i + 1,
                ports=(ports[i], ports[nodes + i]),
                voters=voters,
                replicas=nodes,
                config=config,
            )
            for i in range(nodes)
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def start(self) -> Self:
        """Start all and wait until each knows all."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_ready()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaError):
                admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
                try:
                    if len(admin.describe_cluster()["brokers"]) == len(self.brokers):
                        return self
                finally:
                    admin.close()
            time.sleep(0.2)
        raise BrokerFailedError(f"the cluster did not form:\n{self.brokers[0].tail()}")

    def stop(self) -> None:
        """Kill all."""
        for broker in self.brokers:
            broker.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _java() -> list[str]:
    # The quick compiler alone, and classes are not verified: a broker of a test lives for seconds.
    return [
        *("java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"),
        *("-cp", f"{jars()}/*"),
    ]
