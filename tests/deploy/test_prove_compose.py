"""scripts.prove_compose: what it changes in a Compose file, and how it judges what it sees."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from common.errors import DependencyError, UsageError
from scripts.compose_stack import Stack, override
from scripts.promises import Proof
from scripts.prove_compose import confinement
from tests.deploy.files import DEPLOY, load

FILES = ("compose.yaml", "compose.serve.yaml")
CONFINED = """\
Uid:\t10001\t10001\t10001\t10001
CapEff:\t0000000000000000
NoNewPrivs:\t1
touch: cannot touch '/opt/x': Read-only file system
"""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Knows the tag with which Compose replaces a list."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


@pytest.mark.parametrize("name", FILES)
def test_every_published_port_becomes_a_free_one_of_this_machine(name: str) -> None:
    services = load(DEPLOY / name)["services"]
    text = override(services, [])
    # Without the tag Compose would add the ports to those of the file.
    assert text.count("ports: !override [") == text.count("ports:")
    changed = yaml.load(text, _Loader)["services"]
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published
    assert changed == {
        name: {"ports": [f"127.0.0.1::{port.split(':')[2]}" for port in ports]}
        for name, ports in published.items()
    }


def test_a_service_that_is_left_out_gets_a_profile_of_its_own() -> None:
    services = load(DEPLOY / "compose.yaml")["services"]
    changed = yaml.load(override(services, ["grafana", "topics"]), _Loader)["services"]
    left_out = {name for name, one in changed.items() if one.get("profiles") == ["left-out"]}
    assert left_out == {"grafana", "topics"}
    assert "ports" in changed["grafana"]
    with pytest.raises(UsageError, match="no service zookeeper; choose from: kafka"):
        override(services, ["zookeeper"])


@pytest.mark.parametrize("name", FILES)
def test_on_a_slow_machine_every_health_check_gets_more_time(name: str) -> None:
    services = load(DEPLOY / name)["services"]
    changed = yaml.load(override(services, [], slow=True), _Loader)["services"]
    checked = {
        name for name, one in services.items() if "disable" not in one.get("healthcheck", {})
    }
    assert {name for name, one in changed.items() if "healthcheck" in one} == checked
    for one in changed.values():
        # The test itself is that of the file, or of the image.
        assert one.get("healthcheck", {}).keys() <= {"start_period", "timeout", "retries"}


@pytest.mark.parametrize(
    ("good", "bad", "broken"),
    [
        ("", "", set()),
        ("10001\t10001\t10001\t10001", "10001\t0\t10001\t10001", {"runs as user 10001"}),
        ("0000000000000000", "00000000a80425fb", {"has no capabilities"}),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", {"can gain no privileges"}),
        ("Read-only file system", "Permission denied", {"has a read-only root"}),
    ],
)
def test_every_break_of_confinement_is_seen(good: str, bad: str, broken: set[str]) -> None:
    promises = confinement(CONFINED.replace(good, bad))
    assert {promise for promise, kept in promises.items() if not kept} == broken


def test_nothing_printed_keeps_no_promise() -> None:
    assert not any(confinement("").values())


def test_broken_promises_are_printed_and_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    proof = Proof(seconds=0)
    proof.check("one", True)
    proof.check("two", False, 137)
    proof.comes("three", lambda: True)
    proof.comes("four", lambda: False)
    assert (proof.kept, proof.broken) == (2, ["two", "four"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "kept    one",
        "BROKEN  two",
        "kept    three",
        "BROKEN  four",
    ]


def test_without_an_engine_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stack = Stack(DEPLOY / "compose.serve.yaml", tmp_path, tmp_path, [], [])
    with pytest.raises(DependencyError, match="install Docker Engine"):
        stack.run("ps")
