"""deploy/kubernetes: what kubectl makes of it is valid, safe, and fits the services that run in it."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import typer
import yaml

from common.http.health import Health
from common.http.server import health_app
from common.messaging.topics import TopicNames
from common.metrics import Metrics
from common.settings import KafkaSettings, load_settings, setting_names
from storyhash.cli import app
from tests.conftest import QDRANT_IMAGE, skip_or_fail
from tests.deploy.files import DEPLOY, DOCKERFILES, KUBERNETES_CONFIG, image_environment, load
from tests.support.queries import Client

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("serve", "streaming", "qdrant")
# With every component that an overlay may list.
VARIANTS = (*OVERLAYS, "streaming+gpu+kafka-security", "qdrant+kafka-security")
VERSION = "1.32"
PART = "app.kubernetes.io/part-of"
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")
# KEDA's own kinds: no schema of Kubernetes has them.
KEDA = ("ScaledObject", "TriggerAuthentication")
# What uvicorn may take on top of a service's own stop_seconds.
HTTP_STOP_SECONDS = 7


@functools.cache
def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        skip_or_fail("kubectl", "install kubectl, version 1.27 or later")
    run = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr
    return [one for one in yaml.safe_load_all(run.stdout) if one]


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The objects of every variant."""
    copy = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    made = {}
    for variant in VARIANTS:
        overlay, *components = variant.split("+")
        folder = copy / "overlays" / overlay
        if components:
            folder = copy / "overlays" / variant
            folder.mkdir()
            wanted = {
                "resources": [f"../{overlay}"],
                "components": [f"../../components/{name}" for name in components],
            }
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
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


@pytest.fixture(scope="session")
def pods(variants: dict[str, list[dict[str, Any]]]) -> list[Pod]:
    found = []
    for variant, objects in variants.items():
        for one in of_kind(objects, *WORKLOADS):
            spec = one["spec"]
            job = spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec
            found.append(Pod(variant, one, job["template"]))
    assert len(found) > 15
    return found


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] in kinds]


def environment(pod: Pod, objects: list[dict[str, Any]]) -> dict[str, str]:
    """The variables of a pod; one of a Secret has the value `secret`."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    for one in pod.container.get("env") or ():
        found[one["name"]] = one.get("value", "secret")
    return found


def test_every_object_follows_the_schema_of_kubernetes(
    variants: dict[str, list[dict[str, Any]]],
) -> None:
    for objects in variants.values():
        for one in objects:
            if one["kind"] not in KEDA:
                kubernetes_validate.validate(one, VERSION, strict=True)


def test_a_misspelt_field_would_be_seen(variants: dict[str, list[dict[str, Any]]]) -> None:
    (one,) = of_kind(variants["serve"], "StatefulSet")
    spoiled = json.loads(json.dumps(one).replace("readinessProbe", "readynessProbe"))
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(spoiled, VERSION, strict=True)


def test_pods_have_no_rights_that_they_do_not_need(pods: list[Pod]) -> None:
    for pod in pods:
        context, own = pod.spec["securityContext"], pod.container["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        assert own["readOnlyRootFilesystem"] is True, pod.name
        assert own["allowPrivilegeEscalation"] is False, pod.name
        assert own["capabilities"] == {"drop": ["ALL"]}, pod.name
        assert pod.spec["automountServiceAccountToken"] is False, pod.name
        assert "hostPath" not in json.dumps(pod.template), pod.name
        assert pod.container["resources"]["limits"]["memory"], pod.name
        if pod.is_ours:
            # The user of the images, to whom /data belongs.
            assert context["runAsUser"] == context["fsGroup"] == 10001, pod.name


def test_what_a_service_writes_is_a_volume_and_every_volume_is_there(
    pods: list[Pod], variants: dict[str, list[dict[str, Any]]]
) -> None:
    # Made by the user of this folder.
    given = {"videos"}
    for pod in pods:
        mounts = {one["mountPath"]: one["name"] for one in pod.container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        claims = {
            one["metadata"]["name"] for one in pod.workload["spec"].get("volumeClaimTemplates", ())
        }
        assert set(mounts.values()) == {*volumes, *claims}, pod.name
        made = {
            one["metadata"]["name"]
            for one in of_kind(variants[pod.variant], "PersistentVolumeClaim")
        }
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in made | given, pod.name
            # A full scratch folder must not take the node's disk, and memory is no disk.
            scratch = volume.get("emptyDir")
            assert scratch is None or (scratch["sizeLimit"] and "medium" not in scratch), pod.name
        if pod.is_ours:
            assert "/tmp" in mounts, pod.name
            if pod.container["args"][0] in ("serve", "search", "embed", "ingest"):
                assert "/data" in mounts, pod.name


def test_every_setting_is_one_of_ours_and_is_accepted(
    pods: list[Pod], variants: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    for pod in pods:
        if not pod.is_ours:
            continue
        given = {
            name: value
            for name, value in environment(pod, variants[pod.variant]).items()
            if value != "secret" and name != "STORYHASH_KAFKA__CA_FILE"
        }
        assert set(given) <= set(setting_names()), pod.name
        with monkeypatch.context() as patch:
            for name, value in (image_environment("Dockerfile.cpu") | given).items():
                if name.startswith("STORYHASH_"):
                    patch.setenv(name, value)
            settings = load_settings()
        assert settings.http.port == 8000
        grace = pod.spec.get("terminationGracePeriodSeconds", 30)
        if pod.container["args"][0] in ("serve", "search", "embed", "ingest"):
            assert grace > settings.service.stop_seconds + HTTP_STOP_SECONDS, pod.name


def test_secrets_are_named_and_never_written(variants: dict[str, list[dict[str, Any]]]) -> None:
    secret = re.compile(r"PASSWORD|API_KEY|STATE__URL|TOKEN")
    for variant, objects in variants.items():
        assert of_kind(objects, "Secret") == []
        for one in of_kind(objects, "ConfigMap"):
            assert not [name for name in one["data"] if secret.search(name)], variant


def test_images_are_built_here_or_are_those_that_are_tested(pods: list[Pod]) -> None:
    built = {f"storyhash:{name.removeprefix('Dockerfile.')}" for name in DOCKERFILES}
    named = {pod.container["image"].split("@")[0] for pod in pods}
    assert named <= built | {QDRANT_IMAGE}
    assert {pod.container["image"] for pod in pods if "gpu" in pod.variant} == built


def test_every_command_exists(pods: list[Pod]) -> None:
    root: Any = typer.main.get_command(app)
    for pod in pods:
        if pod.is_ours:
            arguments = [
                word for word in pod.container["args"] if not word.startswith(("-", "/", "http"))
            ]
            command = root
            for word in arguments:
                command = command.commands[word]
            options = {name for one in command.params for name in getattr(one, "opts", ())}
            assert {word for word in pod.container["args"] if word.startswith("--")} <= options


def test_probes_ask_routes_that_services_have(pods: list[Pod]) -> None:
    api = health_app(Health(None, (), 60.0), Metrics.create("search"))
    with Client(api) as client:
        answers = {
            path: client.ask("GET", path).status_code for path in ("/livez", "/readyz", "/no")
        }
    assert answers == {"/livez": 200, "/readyz": 200, "/no": 404}
    served = 0
    for pod in pods:
        probes = {
            name: pod.container.get(f"{name}Probe") for name in ("startup", "liveness", "readiness")
        }
        if pod.workload["kind"] in ("Job", "CronJob"):
            assert not any(probes.values()), pod.name
            continue
        served += 1
        paths = {name: probe["httpGet"]["path"] for name, probe in probes.items() if probe}
        assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}, (
            pod.name
        )
        ports = {one["name"] for one in pod.container["ports"]}
        assert {probe["httpGet"]["port"] for probe in probes.values() if probe} <= ports
    assert served > 8


def selected(selector: dict[str, Any], pods: list[Pod]) -> list[Pod]:
    """Pods with these labels."""
    found = [pod for pod in pods if selector.get("matchLabels", {}).items() <= pod.labels.items()]
    for wanted in selector.get("matchExpressions", ()):
        found = [pod for pod in found if pod.labels.get(wanted["key"]) in wanted["values"]]
    return found


def test_every_selector_finds_its_pods(
    pods: list[Pod], variants: dict[str, list[dict[str, Any]]]
) -> None:
    for variant, objects in variants.items():
        here = [pod for pod in pods if pod.variant == variant]
        for one in of_kind(objects, "Service"):
            found = selected({"matchLabels": one["spec"]["selector"]}, here)
            assert {pod.workload["metadata"]["name"] for pod in found} == {one["metadata"]["name"]}
            names = {port["name"] for port in found[0].container["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= names
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


def least_replicas(pod: Pod, objects: list[dict[str, Any]]) -> int:
    """How many pods of this workload run at least; KEDA decides where a ScaledObject names it."""
    name = pod.workload["metadata"]["name"]
    for scaled in of_kind(objects, "ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] == name:
            return int(scaled["spec"]["minReplicaCount"])
    return int(pod.workload["spec"]["replicas"])


def test_what_sends_webhooks_or_fetches_videos_reaches_public_addresses_alone(
    pods: list[Pod], variants: dict[str, list[dict[str, Any]]]
) -> None:
    out = {
        (pod.variant, pod.workload["metadata"]["name"])
        for pod in pods
        for policy in of_kind(variants[pod.variant], "NetworkPolicy")
        for rule in policy["spec"].get("egress", ())
        for peer in rule.get("to", ())
        if "ipBlock" in peer and selected(policy["spec"]["podSelector"], [pod])
        if {one["port"] for one in rule["ports"]} == {80, 443}
        if {"10.0.0.0/8", "169.254.0.0/16"} <= set(peer["ipBlock"]["except"])
    }
    senders = ("serve", "search", "embed", "ingest")
    assert out == {
        (pod.variant, pod.workload["metadata"]["name"])
        for pod in pods
        if pod.is_ours and pod.container["args"][0] in senders
    }


def test_an_embedder_on_a_gpu_has_the_settings_of_compose(
    pods: list[Pod], variants: dict[str, list[dict[str, Any]]]
) -> None:
    (pod,) = [one for one in pods if one.container["image"] == "storyhash:gpu"]
    of_compose = load(DEPLOY / "compose.gpu.yaml")["services"]["embedder"]["environment"]
    assert of_compose.items() <= environment(pod, variants[pod.variant]).items()


def test_a_job_that_ended_is_deleted_so_that_it_can_be_applied_again(
    variants: dict[str, list[dict[str, Any]]],
) -> None:
    jobs = [one for objects in variants.values() for one in of_kind(objects, "Job")]
    assert jobs
    assert all(0 < one["spec"]["ttlSecondsAfterFinished"] < 3600 for one in jobs)


def test_for_maintenance_only_the_container_with_the_data_folder_waits_for_commands(
    variants: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    copy = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    folder = copy / "overlays" / "mine"
    folder.mkdir()
    wanted = {"resources": ["../streaming"], "components": ["../../components/maintenance"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
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


def relabelled(job: dict[str, Any], labels: dict[str, str]) -> dict[str, str] | None:
    """The labels of a target after the job's rules, as Prometheus applies them; None if it is dropped."""
    found = {"job": job["job_name"], **labels}
    for rule in job["relabel_configs"]:
        value = ";".join(found.get(name, "") for name in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if (action == "keep" and not match) or (action == "drop" and match):
            return None
        if action == "replace" and match:
            found[rule["target_label"]] = rule.get("replacement", value)
    return found


def test_prometheus_in_kubernetes_gives_every_pod_the_job_that_alerts_name(pods: list[Pod]) -> None:
    jobs = load(KUBERNETES_CONFIG)["scrape_configs"]
    meta = "__meta_kubernetes_pod_"
    scraped: dict[str, set[str]] = {}
    for pod in pods:
        labels = {
            re.sub(r"\W", "_", f"{meta}label_{name}"): value for name, value in pod.labels.items()
        }
        for port in pod.container.get("ports", ()):
            target = labels | {
                f"{meta}container_port_name": port["name"],
                f"{meta}phase": "Running",
            }
            for job in jobs:
                if (found := relabelled(job, target)) is not None:
                    name = str(pod.workload["metadata"]["name"])
                    scraped.setdefault(name, set()).add(found["job"])
                assert relabelled(job, target | {f"{meta}phase": "Failed"}) is None or (
                    job["job_name"] == "qdrant"
                )
    same = ("serve", "searcher", "embedder", "producer", "qdrant")
    assert scraped == {name: {name} for name in same} | {"answer": {"searcher"}}


def allowed(
    objects: list[dict[str, Any]], source: Pod, target: Pod, port: str
) -> tuple[bool, bool]:
    """Whether policies let `source` out to `target`, and `target` in from `source`."""

    def open_in(direction: str, end: str, of: Pod, other: Pod) -> bool:
        for policy in of_kind(objects, "NetworkPolicy"):
            if not selected(policy["spec"]["podSelector"], [of]):
                continue
            for rule in policy["spec"].get(direction, ()):
                ports = [one["port"] for one in rule.get("ports", ())]
                peers = rule.get(end, ())
                if port in ports and any(
                    "podSelector" in peer and selected(peer["podSelector"], [other])
                    for peer in peers
                ):
                    return True
        return False

    return open_in("egress", "to", source, target), open_in("ingress", "from", target, source)


@pytest.mark.parametrize(
    ("variant", "source", "target", "port", "wanted"),
    [
        ("serve", "backup", "serve", "http", True),
        ("streaming", "searcher", "embedder", "http", True),
        ("streaming", "backup", "searcher", "http", True),
        ("streaming", "producer", "searcher", "http", False),
        ("streaming", "embedder", "searcher", "http", False),
        ("qdrant", "searcher", "qdrant", "http", True),
        ("qdrant", "answer", "qdrant", "http", True),
        ("qdrant", "qdrant", "qdrant", "peers", True),
        ("qdrant", "embedder", "qdrant", "http", False),
        ("qdrant", "answer", "qdrant", "peers", False),
    ],
)
def test_who_may_talk_to_whom(
    pods: list[Pod],
    variants: dict[str, list[dict[str, Any]]],
    variant: str,
    source: str,
    target: str,
    port: str,
    wanted: bool,
) -> None:
    here = {pod.workload["metadata"]["name"]: pod for pod in pods if pod.variant == variant}
    found = allowed(variants[variant], here[source], here[target], port)
    assert all(found) if wanted else not any(found), found
    # Everything that no policy allows is refused.
    (deny,) = [
        one
        for one in of_kind(variants[variant], "NetworkPolicy")
        if one["spec"]["podSelector"] == {} and "egress" not in one["spec"]
    ]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_embedders_are_scaled_by_the_lag_of_their_own_groups(
    variants: dict[str, list[dict[str, Any]]],
) -> None:
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


def test_every_node_of_qdrant_is_named_to_its_clients(
    variants: dict[str, list[dict[str, Any]]],
) -> None:
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


def started_qdrant(variants: dict[str, list[dict[str, Any]]]) -> str:
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
    variants: dict[str, list[dict[str, Any]]], tmp_path: Path, host: str, wanted: str
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
