"""Embedders are scaled by their lag, and the nodes of Qdrant find one another."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.messaging.topics import TopicNames
from common.settings import KafkaSettings
from tests.deploy.kubernetes.objects import VARIANTS, Objects, of_kind


def test_embedders_are_scaled_by_the_lag_of_their_own_groups(variants: dict[str, Objects]) -> None:
    for variant in [one for one in VARIANTS if not one.startswith("serve")]:
        objects = variants[variant]
        (scaled,) = of_kind(objects, "ScaledObject")
        maps = {
            key: value
            for one in of_kind(objects, "ConfigMap")
            for key, value in one["data"].items()
        }
        kafka = KafkaSettings(partitions=int(maps["STORYHASH_KAFKA__PARTITIONS"]))
        names = TopicNames.of(kafka)
        live, backfill = [one["metadata"] for one in scaled["spec"]["triggers"]]
        assert (live["topic"], live["consumerGroup"]) == (names.segments, names.embedders)
        assert backfill["topic"] == names.backfill
        assert backfill["consumerGroup"] == names.backfill_embedders
        servers = maps["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
        assert live["bootstrapServers"] == backfill["bootstrapServers"] == servers
        # More than one per partition would have no work, and without any no query is answered.
        assert scaled["spec"]["maxReplicaCount"] == kafka.partitions
        assert scaled["spec"]["minReplicaCount"] >= 1
        target = scaled["spec"]["scaleTargetRef"]["name"]
        (deployment,) = [
            one for one in of_kind(objects, "Deployment") if one["metadata"]["name"] == target
        ]
        # With a number of its own, each `kubectl apply` would undo the scaling.
        assert "replicas" not in deployment["spec"]
        if "kafka-security" in variant:
            (auth,) = of_kind(objects, "TriggerAuthentication")
            for trigger in scaled["spec"]["triggers"]:
                assert trigger["authenticationRef"]["name"] == auth["metadata"]["name"]


def test_every_node_of_qdrant_is_named_to_its_clients(variants: dict[str, Objects]) -> None:
    objects = variants["qdrant"]
    (cluster,) = [
        one for one in of_kind(objects, "StatefulSet") if one["metadata"]["name"] == "qdrant"
    ]
    (settings,) = [
        one["data"]
        for one in of_kind(objects, "ConfigMap")
        if "STORYHASH_QDRANT__URL" in one["data"]
    ]
    assert settings["STORYHASH_QDRANT__URL"].split(",") == [
        f"http://qdrant-{number}.{cluster['spec']['serviceName']}:6333"
        for number in range(cluster["spec"]["replicas"])
    ]
    assert cluster["spec"]["replicas"] == 3


def started_qdrant(variants: dict[str, Objects]) -> str:
    """The start script of Qdrant's container."""
    (pod,) = [
        one
        for one in of_kind(variants["qdrant"], "StatefulSet")
        if one["metadata"]["name"] == "qdrant"
    ]
    (script,) = pod["spec"]["template"]["spec"]["containers"][0]["args"]
    return str(script)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("qdrant-0", "--uri http://qdrant-0.qdrant:6335"),
        ("qdrant-2", "--bootstrap http://qdrant-0.qdrant:6335 --uri http://qdrant-2.qdrant:6335"),
    ],
)
def test_the_first_node_founds_the_cluster_and_the_others_join_it(
    variants: dict[str, Objects], tmp_path: Path, host: str, wanted: str
) -> None:
    entry = tmp_path / "entrypoint.sh"
    entry.write_text('#!/bin/sh\necho "$@"\n')
    entry.chmod(0o755)
    run = subprocess.run(
        ["/bin/sh", "-c", started_qdrant(variants)],
        cwd=tmp_path,
        env={"HOSTNAME": host, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert run.stdout.strip() == wanted
