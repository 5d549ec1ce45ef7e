"""What kubectl makes is valid, and every object finds those that it names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import kubernetes_validate
import pytest

from tests.deploy.kubernetes.objects import (
    KUBERNETES,
    VERSION,
    Objects,
    Pod,
    kustomized,
    least_replicas,
    of_kind,
    selected,
    with_components,
)

# KEDA's own kinds: no schema of Kubernetes has them.
KEDA = ("ScaledObject", "TriggerAuthentication")


def test_every_object_follows_the_schema_of_kubernetes(variants: dict[str, Objects]) -> None:
    for objects in variants.values():
        for one in objects:
            if one["kind"] not in KEDA:
                kubernetes_validate.validate(one, VERSION, strict=True)


def test_a_misspelt_field_would_be_seen(variants: dict[str, Objects]) -> None:
    (one,) = of_kind(variants["serve"], "StatefulSet")
    spoiled = json.loads(json.dumps(one).replace("readinessProbe", "readynessProbe"))
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(spoiled, VERSION, strict=True)


def test_secrets_are_named_and_never_written(variants: dict[str, Objects]) -> None:
    secret = re.compile(r"PASSWORD|API_KEY|STATE__URL|TOKEN")
    for variant, objects in variants.items():
        assert of_kind(objects, "Secret") == []
        for one in of_kind(objects, "ConfigMap"):
            assert not [name for name in one["data"] if secret.search(name)], variant


def test_every_selector_finds_its_pods(pods: list[Pod], variants: dict[str, Objects]) -> None:
    for variant, objects in variants.items():
        here = [pod for pod in pods if pod.variant == variant]
        for one in of_kind(objects, "Service"):
            found = selected({"matchLabels": one["spec"]["selector"]}, here)
            assert {pod.workload["metadata"]["name"] for pod in found} == {one["metadata"]["name"]}
            names = {port["name"] for port in found[0].container["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= names
            # The one pod that answers does so while it waits for Kafka, and is called meanwhile.
            alone = one["metadata"]["name"] in ("serve", "searcher")
            waits = one["spec"].get("publishNotReadyAddresses", False)
            assert waits or not alone, one["metadata"]["name"]
        for one in of_kind(objects, "Deployment", "StatefulSet"):
            found = selected(one["spec"]["selector"], here)
            assert [pod.workload["metadata"]["name"] for pod in found] == [one["metadata"]["name"]]
        for one in of_kind(objects, "PodDisruptionBudget"):
            (found_pod,) = selected(one["spec"]["selector"], here)
            # A budget that needs every pod would keep a node from being drained.
            least = least_replicas(found_pod, objects)
            assert one["spec"].get("minAvailable", 0) < least, found_pod.name
        for one in of_kind(objects, "NetworkPolicy"):
            assert selected(one["spec"]["podSelector"], here), one["metadata"]["name"]
            for rule in (*one["spec"].get("ingress", ()), *one["spec"].get("egress", ())):
                for peer in (*rule.get("from", ()), *rule.get("to", ())):
                    if "podSelector" in peer:
                        assert selected(peer["podSelector"], here), one["metadata"]["name"]


def test_a_job_that_ended_is_deleted_so_that_it_can_be_applied_again(
    variants: dict[str, Objects],
) -> None:
    jobs = [one for objects in variants.values() for one in of_kind(objects, "Job")]
    assert jobs
    assert all(0 < one["spec"]["ttlSecondsAfterFinished"] < 3600 for one in jobs)


def test_for_maintenance_only_the_container_with_the_data_folder_waits_for_commands(
    variants: dict[str, Objects], tmp_path: Path
) -> None:
    copy = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    folder = with_components(copy, "mine", "streaming", "maintenance")
    waiting = {(one["kind"], one["metadata"]["name"]): one for one in kustomized(folder)}
    usual = {(one["kind"], one["metadata"]["name"]): one for one in variants["streaming"]}
    changed = [name for name in usual if usual[name] != waiting[name]]
    assert changed == [("StatefulSet", "searcher")]
    (before,), (after,) = (
        one["spec"]["template"]["spec"]["containers"]
        for one in (usual[changed[0]], waiting[changed[0]])
    )
    kubernetes_validate.validate(waiting[changed[0]], VERSION, strict=True)
    assert before.keys() - after.keys() == {
        "args",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
    }
    assert before["volumeMounts"] == after["volumeMounts"]
    shell = subprocess.Popen(after["command"])
    try:
        time.sleep(0.2)
        assert shell.poll() is None
        shell.terminate()
        assert shell.wait(60) == 0
    finally:
        shell.kill()
