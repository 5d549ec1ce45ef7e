"""compose.yaml is valid, its settings are ours, and its services start in order and end in peace."""

from __future__ import annotations

import graphlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from common.settings import load_settings, setting_names
from storyhash.cli import app
from storyhash.profiles import PROFILES
from tests.conftest import QDRANT_IMAGE, skip_or_fail
from tests.deploy.files import (
    DEPLOY,
    PROMETHEUS_CONFIG,
    ROOT,
    SERVE_CONFIG,
    broker_properties,
    compose,
    image_environment,
    interpolated,
    last_stage,
    load,
    seconds,
    services,
    settings_of,
    tool,
    variables,
)
from tests.kafka_broker import KafkaBroker, can_run
from tests.kafka_broker.broker import free_ports
from tests.kafka_broker.container import KAFKA_IMAGE
from tests.support.http_server import serving

OURS = ("topics", "embedder", "searcher", "producer")
# What uvicorn may take on top of a service's own stop_seconds.
HTTP_STOP_SECONDS = 7


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


def validate(*files: Path) -> subprocess.CompletedProcess[str]:
    """Compare with the Compose specification's own schema."""
    return subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_files_follow_the_compose_specification() -> None:
    run = validate(*sorted(DEPLOY.glob("compose*.yaml")))
    assert run.returncode == 0, run.stdout


def test_a_misspelt_key_would_be_seen(tmp_path: Path) -> None:
    spoiled = tmp_path / "compose.yaml"
    text = (DEPLOY / "compose.yaml").read_text()
    spoiled.write_text(text.replace("depends_on:", "depend_on:", 1))
    run = validate(spoiled)
    assert run.returncode != 0
    assert "depend_on" in run.stdout


@pytest.mark.parametrize("service", OURS)
def test_every_setting_of_a_service_is_one_of_ours(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = image_environment("Dockerfile.cpu") | settings_of(service)
    ours = {name: value for name, value in given.items() if name.startswith("STORYHASH_")}
    assert ours.keys() <= set(setting_names())
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.http.host == "0.0.0.0"
    assert settings.kafka.bootstrap_servers == "kafka:29092"


def test_serve_alone_is_the_same_image_with_its_settings_key_and_prometheus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = load(DEPLOY / "compose.serve.yaml")["services"]
    serve, prometheus = alone["serve"], alone["prometheus"]
    assert serve["image"] == services()["searcher"]["image"]
    assert serve["build"] == services()["searcher"]["build"]
    given = image_environment("Dockerfile.cpu") | serve["environment"]
    for name, value in given.items():
        if name.startswith("STORYHASH_"):
            assert name in set(setting_names())
            monkeypatch.setenv(name, value)
    settings = load_settings()
    # Whoever reaches the port needs a key.
    assert settings.http.require_keys == "always"
    grace = seconds(serve["stop_grace_period"])
    assert grace > settings.service.stop_seconds + HTTP_STOP_SECONDS
    assert f"serve-data:{given['STORYHASH_DATA_DIR']}" in serve["volumes"]
    assert serve["command"] == ["serve", "--watch", "/videos"]
    assert any(
        one == f"--config.file=/etc/prometheus/{SERVE_CONFIG.name}" for one in prometheus["command"]
    )
    (job,) = [one for one in load(SERVE_CONFIG)["scrape_configs"] if one["job_name"] == "serve"]
    assert job["static_configs"] == [{"targets": [f"serve:{given['STORYHASH_HTTP__PORT']}"]}]


@pytest.mark.parametrize("name", ["alertmanager", "grafana", "prometheus"])
def test_what_watches_is_the_same_in_both_worlds(name: str) -> None:
    alone = load(DEPLOY / "compose.serve.yaml")["services"][name]
    beside = dict(services()[name])
    if name == "prometheus":
        config = "--config.file=/etc/prometheus/prometheus.yml"
        alone["command"] = [config, *alone["command"][1:]]
        assert beside.pop("secrets") == ["qdrant-api-key"]
    assert alone == beside


def test_prometheus_gets_the_key_of_qdrant_as_the_file_it_reads() -> None:
    assert compose()["secrets"] == {"qdrant-api-key": {"environment": "QDRANT_API_KEY"}}
    (job,) = [
        one for one in load(PROMETHEUS_CONFIG)["scrape_configs"] if one["job_name"] == "qdrant"
    ]
    assert job["authorization"] == {"credentials_file": "/run/secrets/qdrant-api-key"}


def test_settings_of_the_gpu_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    override = load(DEPLOY / "compose.gpu.yaml")["services"]["embedder"]["environment"]
    given = image_environment("Dockerfile.gpu") | override
    for name, value in given.items():
        if name.startswith("STORYHASH_"):
            assert name in set(setting_names())
            monkeypatch.setenv(name, interpolated(value))
    settings = load_settings()
    assert (settings.device.name, settings.profile) == ("cuda", "clip-sam2")
    assert settings.profile in PROFILES


def test_the_searcher_mirrors_to_the_qdrant_server_and_asks_the_embedders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings_of("searcher").items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.searcher.mirror == "server"
    assert settings.qdrant.url == "http://qdrant:6333"
    key = interpolated(services()["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"])
    assert settings.qdrant.api_key is not None
    assert settings.qdrant.api_key.get_secret_value() == key
    port = image_environment("Dockerfile.cpu")["STORYHASH_HTTP__PORT"]
    assert settings.service.embedder_urls == (f"http://embedder:{port}",)


@pytest.mark.parametrize("service", OURS)
def test_every_service_runs_a_command_there_is(service: str) -> None:
    command: Any = typer.main.get_command(app)
    words = list(services()[service]["command"])
    while hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    # What is left are arguments: only `ingest` has one.
    assert words == (["/videos"] if service == "producer" else [])


def test_services_wait_for_what_they_need() -> None:
    defined = services()
    needs = {
        name: {other: how["condition"] for other, how in one.get("depends_on", {}).items()}
        for name, one in defined.items()
    }
    order = list(graphlib.TopologicalSorter(needs).static_order())
    assert set(order) == set(defined)
    for name in OURS[1:]:
        assert needs[name]["topics"] == "service_completed_successfully"
    assert needs["topics"] == {"kafka": "service_healthy"}
    assert needs["searcher"]["qdrant"] == "service_healthy"
    for name, conditions in needs.items():
        for other, condition in conditions.items():
            if condition == "service_healthy":
                assert has_a_healthcheck(defined[other]), f"{name} waits for {other} for ever"
            else:
                assert defined[other]["restart"] in ("no", "on-failure"), f"{other} never ends"


def has_a_healthcheck(service: dict[str, Any]) -> bool:
    of_the_image = "build" in service and "HEALTHCHECK" in last_stage(
        Path(service["build"]["dockerfile"]).name
    )
    return "test" in service.get("healthcheck", {}) or of_the_image


@pytest.mark.parametrize("service", OURS[1:])
def test_a_service_has_longer_to_stop_than_it_may_take(service: str) -> None:
    grace = seconds(services()[service]["stop_grace_period"])
    assert (
        grace > float(settings_of(service)["STORYHASH_SERVICE__STOP_SECONDS"]) + HTTP_STOP_SECONDS
    )


def test_only_this_machine_reaches_the_ports() -> None:
    alone = load(DEPLOY / "compose.serve.yaml")["services"]
    published = [
        port for one in [*services().values(), *alone.values()] for port in one.get("ports", [])
    ]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published), published
    # Of scaled services only the first would get the port.
    assert "ports" not in services()["embedder"]


def test_our_services_write_only_volumes() -> None:
    alone = load(DEPLOY / "compose.serve.yaml")["services"]
    ours = {name: one for name, one in (services() | alone).items() if "build" in one}
    assert ours.keys() == {"serve", "topics", "embedder", "searcher", "producer"}
    for name, one in ours.items():
        assert one["read_only"] is True, name
        written = [*one.get("tmpfs", ()), *map(str, one.get("volumes", ()))]
        assert "/tmp" in written, name
        assert any(place.endswith("/data") for place in written), name


@pytest.mark.parametrize(("file", "name"), [("compose", "searcher"), ("compose.serve", "serve")])
def test_what_has_the_catalogue_has_a_volume_for_its_backups(file: str, name: str) -> None:
    service = load(DEPLOY / f"{file}.yaml")["services"][name]
    folder = service["environment"]["STORYHASH_SERVICE__BACKUP_DIR"]
    assert f"{name}-backups:{folder}" in service["volumes"]


def test_services_that_last_restart_and_keep_what_they_hold() -> None:
    defined = services()
    for name in defined.keys() - {"topics", "producer"}:
        assert defined[name]["restart"] == "unless-stopped", name
    used = {
        volume.split(":")[0]
        for one in defined.values()
        for volume in one.get("volumes", [])
        if isinstance(volume, str) and not volume.startswith((".", "/"))
    }
    assert used == compose()["volumes"].keys()
    held = {name: str(defined[name]["volumes"]) for name in defined if "volumes" in defined[name]}
    assert f":{broker_properties()['log.dirs']}'" in held["kafka"]
    assert ":/qdrant/storage" in held["qdrant"]
    data = image_environment("Dockerfile.cpu")["STORYHASH_DATA_DIR"]
    assert f":{data}'" in held["searcher"]
    assert f":{data}'" in held["producer"]


def test_what_is_mounted_is_there() -> None:
    mounted = [
        volume.split(":")[0]
        for one in services().values()
        for volume in one.get("volumes", [])
        if isinstance(volume, str) and volume.startswith(".")
    ]
    assert mounted
    assert all((DEPLOY / one).is_dir() for one in mounted)


def test_every_image_has_a_version_and_the_tests_run_on_the_same() -> None:
    images = {name: one["image"] for name, one in services().items()}
    assert images["kafka"] == KAFKA_IMAGE
    assert images["qdrant"] == QDRANT_IMAGE
    for name in images.keys() - set(OURS):
        assert re.search(r":v?\d+\.\d+\.\d+$", images[name]), images[name]
    for name in OURS:
        built = services()[name]["build"]
        assert (DEPLOY / built["context"]).resolve() == ROOT
        assert (ROOT / built["dockerfile"]).is_file()


def test_secrets_come_from_the_environment_and_must_be_set() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    secret = re.findall(r"^\s+\S*(?:API_KEY|PASSWORD)\S*: (.*)$", text, re.MULTILINE)
    assert len(secret) == 3
    assert all(value.startswith("${") and ":?" in value for value in secret)
    told = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert told.keys() > {name for name, _ in variables(text)}
    assert ".env" in (DEPLOY / ".gitignore").read_text().splitlines()


def test_a_broker_starts_with_the_properties_of_compose(tmp_path: Path) -> None:
    if not can_run():
        skip_or_fail("kafka", "install Java 17 and Maven; compose's broker is started as a process")
    inside, outside, controller = free_ports(3)
    addresses = [
        ("kafka:29092", f"127.0.0.1:{inside}"),
        ("kafka:29093", f"127.0.0.1:{controller}"),
        ("localhost:9092", f"127.0.0.1:{outside}"),
        ("://:29092", f"://127.0.0.1:{inside}"),
        ("://:29093", f"://127.0.0.1:{controller}"),
        ("://:9092", f"://127.0.0.1:{outside}"),
    ]
    properties = broker_properties()
    for there, here in addresses:
        properties = {name: value.replace(there, here) for name, value in properties.items()}
    properties["log.dirs"] = str(tmp_path / "data")
    with KafkaBroker(tmp_path, ports=(outside, controller), config=properties) as broker:
        from kafka import KafkaAdminClient

        assert is_healthy("kafka", "29092", inside)
        for port in (inside, outside):
            admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
            try:
                (member,) = admin.describe_cluster()["brokers"]
                # Each client is told the address on its own side.
                assert member["port"] == port, broker.tail()
            finally:
                admin.close()
    assert not is_healthy("kafka", "29092", inside)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that says only that; its port."""

    def ready(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()

    with serving({"/readyz": ready}) as url:
        yield httpx.URL(url).port or 0


def is_healthy(service: str, its_port: str, port: int) -> bool:
    """The healthcheck of a service, at `port` instead of its own."""
    kind, *command = services()[service]["healthcheck"]["test"]
    assert kind == "CMD"
    here = [interpolated(word).replace(its_port, str(port)) for word in command]
    return subprocess.run(here, capture_output=True, timeout=600, check=False).returncode == 0


def test_qdrants_healthcheck_tells_ready_from_not_ready_and_from_gone() -> None:
    with answering(200) as port:
        assert is_healthy("qdrant", "6333", port)
    with answering(503) as port:
        assert not is_healthy("qdrant", "6333", port)
    (closed,) = free_ports(1)
    assert not is_healthy("qdrant", "6333", closed)
