"""What kubectl makes of deploy/kubernetes, and what its objects say of one another."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from tests.conftest import skip_or_fail
from tests.deploy.files import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("serve", "streaming", "qdrant")
# With every component that an overlay may list.
VARIANTS = (*OVERLAYS, "streaming+gpu+kafka-security", "qdrant+kafka-security")
# The version whose schemas objects must follow.
VERSION = "1.32"
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")

Objects: TypeAlias = list[dict[str, Any]]


@functools.cache
def kustomized(folder: Path) -> Objects:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        skip_or_fail("kubectl", "install kubectl, version 1.27 or later")
    run = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr
    return [one for one in yaml.safe_load_all(run.stdout) if one]


def with_components(copy: Path, name: str, overlay: str, *components: str) -> Path:
    """An overlay of its own in a copy of deploy/kubernetes: one of ours with components."""
    folder = copy / "overlays" / name
    folder.mkdir()
    wanted = {
        "resources": [f"../{overlay}"],
        "components": [f"../../components/{one}" for one in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return folder


def all_variants(copy: Path) -> dict[str, Objects]:
    """The objects of every variant. copy: where a copy of deploy/kubernetes is made."""
    shutil.copytree(KUBERNETES, copy)
    made = {}
    for variant in VARIANTS:
        overlay, *components = variant.split("+")
        folder = copy / "overlays" / overlay
        if components:
            folder = with_components(copy, variant, overlay, *components)
        made[variant] = kustomized(folder)
    return made


class Pod(NamedTuple):
    """The pod of a workload. variant, workload: where it stands."""

    variant: str
    workload: dict[str, Any]
    template: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.variant}/{self.workload['kind']}/{self.workload['metadata']['name']}"

    @property
    def spec(self) -> dict[str, Any]:
        return dict(self.template["spec"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def container(self) -> dict[str, Any]:
        (only,) = self.spec["containers"]
        return dict(only)

    @property
    def is_ours(self) -> bool:
        return str(self.container["image"]).startswith("storyhash:")


def pods_of(variants: dict[str, Objects]) -> list[Pod]:
    """The pod of every workload."""
    found = []
    for variant, objects in variants.items():
        for one in of_kind(objects, *WORKLOADS):
            spec = one["spec"]
            job = spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec
            found.append(Pod(variant, one, job["template"]))
    return found


def of_kind(objects: Objects, *kinds: str) -> Objects:
    return [one for one in objects if one["kind"] in kinds]


def environment(pod: Pod, objects: Objects) -> dict[str, str]:
    """The variables of a pod; one of a Secret has the value `secret`."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    for one in pod.container.get("env") or ():
        found[one["name"]] = one.get("value", "secret")
    return found


def selected(selector: dict[str, Any], pods: list[Pod]) -> list[Pod]:
    """Pods with these labels."""
    found = [pod for pod in pods if selector.get("matchLabels", {}).items() <= pod.labels.items()]
    for wanted in selector.get("matchExpressions", ()):
        found = [pod for pod in found if pod.labels.get(wanted["key"]) in wanted["values"]]
    return found


def least_replicas(pod: Pod, objects: Objects) -> int:
    """How many pods of this workload run at least; KEDA decides where a ScaledObject names it."""
    name = pod.workload["metadata"]["name"]
    for scaled in of_kind(objects, "ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] == name:
            return int(scaled["spec"]["minReplicaCount"])
    return int(pod.workload["spec"]["replicas"])
