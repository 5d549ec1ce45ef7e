"""What lies in deploy/, read as the programs that use it read it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = ("Dockerfile.cpu", "Dockerfile.gpu")
RULES = DEPLOY / "prometheus" / "rules.yml"
RULES_TESTS = (
    DEPLOY / "prometheus" / "rules_test.yml",
    DEPLOY / "prometheus" / "rules_slow_test.yml",
)
PROMETHEUS_CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
KUBERNETES_CONFIG = DEPLOY / "prometheus" / "kubernetes.yml"
SERVE_CONFIG = DEPLOY / "prometheus" / "serve.yml"
ALERTMANAGER = DEPLOY / "prometheus" / "alertmanager.yml"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks.md"

_VARIABLE = re.compile(r"\$(\$|\{(?P<name>\w+)(?P<kind>:[-?])?(?P<rest>[^}]*)\})")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def tool(name: str) -> Path:
    """A program that a package of the `test` extra installed."""
    return Path(sys.executable).parent / name


def load(path: Path) -> Any:
    # The parser in C takes a tenth of the time.
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def compose() -> dict[str, Any]:
    """compose.yaml as it is written, its anchors resolved."""
    return dict(load(DEPLOY / "compose.yaml"))


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def interpolated(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A value as Compose hands it on: variables filled in, `$$` a dollar. What must be set and is not
    becomes `set-NAME`."""

    def filled(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        default = found["rest"] if found["kind"] == ":-" else f"set-{found['name']}"
        return (environment or {}).get(found["name"], default)

    return _VARIABLE.sub(filled, text)


def variables(text: str) -> Iterator[tuple[str, bool]]:
    """Every variable a file asks its environment for, and whether it must be set."""
    for found in _VARIABLE.finditer(text):
        if found[1] != "$":
            yield found["name"], found["kind"] == ":?"


def settings_of(service: str) -> dict[str, str]:
    """The STORYHASH_ variables of a service in compose.yaml."""
    environment = services()[service].get("environment", {})
    return {
        name: interpolated(value)
        for name, value in environment.items()
        if name.startswith("STORYHASH_")
    }


def seconds(duration: str) -> int:
    """A duration of Compose or Prometheus with one unit, such as `45s`."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def broker_properties() -> dict[str, str]:
    """server.properties as Kafka's image makes it of compose.yaml: KAFKA_A_B is a.b."""
    environment = services()["kafka"]["environment"]
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
    }


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: `RUN`, and what follows it on one line."""

    name: str
    value: str


def instructions(dockerfile: str) -> list[Instruction]:
    """A Dockerfile's instructions in order, comments left out, continued lines joined."""
    lines = (DEPLOY / dockerfile).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = text.replace("\\\n", " ").splitlines()
    parted = (line.split(None, 1) for line in joined if line.strip())
    return [Instruction(name.upper(), " ".join(rest.split())) for name, rest in parted]


def last_stage(dockerfile: str) -> dict[str, str]:
    """What the image itself is made of: the last value of each instruction of the last stage."""
    all_of_them = instructions(dockerfile)
    start = max(i for i, one in enumerate(all_of_them) if one.name == "FROM")
    return {one.name: one.value for one in all_of_them[start:]}


def image_environment(dockerfile: str) -> dict[str, str]:
    """ENV of the image itself."""
    return dict(pair.split("=", 1) for pair in last_stage(dockerfile)["ENV"].split())


@dataclass(frozen=True)
class Expression:
    """One expression of PromQL and where it stands. instant: asked for one moment, not a range."""

    where: str
    text: str
    instant: bool = False


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its uid."""
    read = [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]
    return {board["uid"]: board for board in read}


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every panel that shows something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def panel_expressions() -> list[Expression]:
    return [
        Expression(f"{uid}: {panel['title']} {target['refId']}", target["expr"], target["instant"])
        for uid, board in dashboards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def _rules() -> list[dict[str, Any]]:
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert rule by its name."""
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """The expression of every recording rule by the name of its series."""
    return {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}


def rule_expressions() -> list[Expression]:
    """The expressions of all rules."""
    return [
        *(Expression(name, rule["expr"]) for name, rule in alerts().items()),
        *(Expression(name, expr) for name, expr in recorded().items()),
    ]


def metric_names(expression: str) -> set[str]:
    """The names of our metrics in an expression, recorded ones too; a histogram's samples by their own
    names."""
    unquoted = re.sub(r"\"[^\"]*\"|'[^']*'", "", expression)
    return set(re.findall(r"\bstoryhash[_:][\w:]+", unquoted))
