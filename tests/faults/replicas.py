"""One of three brokers is killed in the middle, each time another: nothing is lost, nothing doubled, and
nothing stands still for long."""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient

from tests.faults.compare_catalogues import Reference, reference, streamed
from tests.faults.harness import Trial, run
from tests.faults.stream import Topics, Watch, deployment_of, searchable_segments, start_all
from tests.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.services import Deployment, wait_until

_MOST_SECONDS = 30.0
# What Kafka and the services come with: the quick settings of other tests would flatter.
_CLUSTER = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
_SETTINGS: dict[str, Any] = {
    "STORYHASH_KAFKA__REPLICATION": "3",
    "STORYHASH_KAFKA__SESSION_TIMEOUT_SECONDS": "15",
    "STORYHASH_SERVICE__RETRY_SECONDS": "1",
    "STORYHASH_SERVICE__MAX_RETRY_SECONDS": "30",
}


def replicas(trial: Trial) -> None:
    """The scenario."""
    with KafkaCluster(trial.folder / "kafka", config=_CLUSTER) as cluster:
        wanted = reference(trial, cluster.bootstrap_servers, trial.size(500, 150), **_SETTINGS)
        for role in ("leader", "coordinator", "controller")[: trial.size(3, 1)]:
            trial.figures[role] = _killed(trial, cluster, role, wanted)


def _killed(trial: Trial, cluster: KafkaCluster, role: str, wanted: Reference) -> dict[str, Any]:
    servers = cluster.bootstrap_servers
    with deployment_of(trial.folder, servers, f"killed-{role}", **_SETTINGS) as deployment:
        start_all(deployment)
        searcher = deployment.services["searcher"].ready()
        with Watch(searcher) as watch:
            killed: list[KafkaBroker] = []

            def disturb() -> None:
                enough = wanted.answers.segments // 4
                wait_until(lambda: searchable_segments(searcher) > enough, "a quarter", 600)
                (broker,) = (
                    one for one in cluster.brokers if one.node_id == _node(deployment, role)
                )
                trial.say(f"killing node {broker.node_id}, the {role}")
                broker.kill()
                killed.append(broker)

            seconds = streamed(deployment, wanted.work.path, wanted.work.names, disturb)
        wanted.check(trial, deployment, role)
        killed[0].start()
    longest = watch.longest_interruption_seconds
    trial.promise(
        f"{role}: no interruption is longer than {_MOST_SECONDS:.0f} s",
        [] if longest <= _MOST_SECONDS else [f"{longest:.1f} s"],
    )
    _wait_for_replicas(servers)
    return {"seconds": round(seconds, 1), "longest_interruption_seconds": round(longest, 1)}


def _node(deployment: Deployment, role: str) -> int:
    """The node that has a role now."""
    topics = Topics(deployment)
    servers = deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        if role == "controller":
            quorum = admin.describe_metadata_quorum()
            return int(quorum["topics"][0]["partitions"][0]["leader_id"])
        if role == "coordinator":
            group = f"{topics.names.embeddings}.embedder"
            # kafka-python has no public way to ask for it.
            return int(admin._manager.run(admin._find_coordinator_id, group))  # noqa: SLF001
        (described,) = admin.describe_topics([topics.names.segments])
        return int(described["partitions"][0]["leader_id"])
    finally:
        admin.close()


def _wait_for_replicas(servers: str) -> None:
    """Until every copy of every partition is in step again."""

    def level() -> bool:
        admin = KafkaAdminClient(bootstrap_servers=servers)
        try:
            return all(
                len(partition["isr_nodes"]) == len(partition["replica_nodes"])
                for topic in admin.describe_topics()
                for partition in topic["partitions"]
            )
        finally:
            admin.close()

    wait_until(level, "replicas in step", 120, 1.0)


if __name__ == "__main__":
    run("replicas", __doc__, replicas)
