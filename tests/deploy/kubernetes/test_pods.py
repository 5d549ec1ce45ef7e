"""Pods have the rights, volumes, settings, commands and probes that our services need, and no more."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import typer

from common.http.health import Health
from common.http.server import health_app
from common.metrics import Metrics
from common.settings import load_settings, setting_names
from storyhash.cli import app
from tests.conftest import QDRANT_IMAGE
from tests.deploy.files import DEPLOY, DOCKERFILES, image_environment, load
from tests.deploy.kubernetes.objects import Objects, Pod, environment, of_kind
from tests.support.queries import Client

# What uvicorn may take on top of a service's own stop_seconds.
HTTP_STOP_SECONDS = 7


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
    pods: list[Pod], variants: dict[str, Objects]
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
    pods: list[Pod], variants: dict[str, Objects], monkeypatch: pytest.MonkeyPatch
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


def test_an_embedder_on_a_gpu_has_the_settings_of_compose(
    pods: list[Pod], variants: dict[str, Objects]
) -> None:
    (pod,) = [one for one in pods if one.container["image"] == "storyhash:gpu"]
    settings = load(DEPLOY / "compose.gpu.yaml")["services"]["embedder"]["environment"]
    # Compose puts the default in place of a variable that is not set.
    of_compose = {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in settings.items()
    }
    assert of_compose.items() <= environment(pod, variants[pod.variant]).items()
