#!/usr/bin/env python3
"""Write docs/reference.md from the code: commands, settings, profiles, HTTP, metrics, errors.

python -m scripts.reference
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel, SecretStr

from common import errors
from common.http.access import Access
from common.http.error_codes import error_codes
from common.http.errors import ApiError
from common.http.health import Health
from common.metrics import Metrics
from common.settings import ENV_PREFIX, HttpSettings, Settings, WebhookSettings
from embedder.server import embed_app
from searcher.api.app import api_app
from searcher.jobs.jobs import Jobs
from storyhash.cli import app
from storyhash.cli.installation.config import shown
from storyhash.profiles import PROFILES

PATH = Path(__file__).parents[1] / "docs" / "reference.md"

_HEAD = """# Reference

`python -m scripts.reference` makes this page from the code. [usage.md](usage.md) explains the commands by
task.

| Exit code | Meaning |
| --- | --- |
| 0 | success |
| 1 | the command ran, and something failed |
| 2 | a mistake of the caller |
| 3 | a dependency is down: a server, a package, weights or disk space |
| 130 | interrupted: Ctrl-C, SIGTERM, or a terminal that was closed |

Results go to standard output, messages to standard error. `storyhash --debug COMMAND` adds a traceback to
an error.
"""


def reference() -> str:
    """The whole file."""
    parts = [_HEAD, "## Commands\n", *_commands(), "## Settings\n", _SETTINGS_HEAD, *_settings()]
    parts += ["\n## Profiles\n", *_profiles(), "\n## HTTP\n", *_http()]
    parts += ["\n## Metrics\n", *_metrics(), "\n## Errors\n", *_errors()]
    return "\n".join(parts) + "\n"


def _commands() -> Iterator[str]:
    root = typer.main.get_command(app)
    yield from _command(root, "storyhash")


def _command(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        if name == "storyhash":
            yield "### `storyhash`\n"
            yield from _options(command)
        for child in command.commands.values():
            yield from _command(child, f"{name} {child.name}")
        return
    arguments = [
        parameter for parameter in command.params if parameter.param_type_name == "argument"
    ]
    usage = " ".join([name, *map(_argument, arguments)])
    yield f"### `{usage}`\n"
    yield " ".join((command.help or "").split()) + "\n"
    yield from _options(command)


def _argument(argument: Any) -> str:
    words = f"{argument.metavar}..." if argument.nargs != 1 else argument.metavar
    return words if argument.required else f"[{words}]"


def _options(command: Any) -> Iterator[str]:
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    rows = [
        (
            ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts)),
            " ".join((option.help or "").split()) + _default(option),
        )
        for option in options
        if option.name != "help"
    ]
    if rows:
        yield "| Option | |\n| --- | --- |"
        yield "\n".join(f"| {flags} | {text} |" for flags, text in rows) + "\n"


def _default(option: Any) -> str:
    """The default of an option that its help leaves to typer."""
    default, text = option.default, option.help or ""
    if default in (None, "", False) or option.is_flag or option.multiple or "default:" in text:
        return ""
    return f" Default: `{getattr(default, 'value', default)}`."


_SETTINGS_HEAD = """Settings are environment variables. An unknown `STORYHASH_` variable is an error.
`storyhash config` prints the settings in force. An empty variable is the same as none, except for
`STORYHASH_SECOND_OPINION__GENERATION`. Lists and objects are JSON:
`STORYHASH_HTTP__ALLOWED_HOSTS='["host"]'`.

| Variable | Default | |
| --- | --- | --- |"""


def _settings(model: type[BaseModel] = Settings, prefix: str = ENV_PREFIX) -> Iterator[str]:
    for name, info in model.model_fields.items():
        inner = info.annotation
        variable = f"{prefix}{name.upper()}"
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _settings(inner, f"{variable}__")
            continue
        # A default that is computed depends on the machine; its description says what it is.
        default = None if info.default_factory else info.default
        default_text = (
            "" if default is None or isinstance(default, SecretStr) else f"`{shown(default)}`"
        )
        yield f"| `{variable}` | {default_text} | {info.description} |"


def _profiles() -> Iterator[str]:
    yield "| Profile | |\n| --- | --- |"
    for profile in PROFILES.values():
        yield f"| `{profile.name}` | {profile.summary} |"


def _http() -> Iterator[str]:
    """Every route, from the documents the services give of themselves; nothing behind them is asked."""
    nothing: Any = None
    followed: Any = object()
    metrics, settings = Metrics.create("reference"), HttpSettings()
    health = Health(None, (), 0.0)
    access = Access(settings, beyond_loopback=False)
    common_parts = (health, metrics, settings)
    kept: dict[str, Any] = {
        "access": access,
        "jobs": Jobs(lambda: access.state),
        "webhooks": WebhookSettings(),
    }
    apps = {
        "search": api_app(
            nothing, nothing, *common_parts, generations=followed, staged=followed, **kept
        ),
        "serve": api_app(nothing, nothing, *common_parts, **kept),
        "embed": embed_app(nothing, "", *common_parts, access=access),
    }
    yield "Each service has its OpenAPI document at `/openapi.json`. [api.md](api.md) explains the"
    yield "routes. [Errors](#errors) are `application/problem+json`.\n"
    yield "| Route | Service | Least role | |\n| --- | --- | --- | --- |"
    routes: dict[tuple[str, str, str], list[str]] = {}
    for service, app_of in apps.items():
        for path, methods in app_of.openapi()["paths"].items():
            for method, operation in methods.items():
                summary = " ".join(operation.get("description", "").split())
                (roles,) = operation.get("security", [{"key": []}])[0].values()
                route = f"{method.upper()} {path}"
                routes.setdefault((route, "".join(roles), summary), []).append(service)
    for (route, role, summary), services in routes.items():
        yield f"| `{route}` | {', '.join(services)} | {role} | {summary} |"


def _metrics() -> Iterator[str]:
    """Every metric of ours, as a service exposes it."""
    yield "Every service has them at `/metrics`. Units are seconds and bytes.\n"
    yield "| Metric | Type | Labels | |\n| --- | --- | --- | --- |"
    metrics = Metrics.create("reference")
    for field in fields(metrics):
        metric = getattr(metrics, field.name)
        if not isinstance(metric, MetricWrapperBase):
            continue
        (description,) = metric.describe()
        labels = ", ".join(f"`{name}`" for name in metric._labelnames)
        name = description.name + ("_total" if description.type == "counter" else "")
        yield f"| `{name}` | {description.type} | {labels} | {description.documentation} |"
    yield "| `storyhash_build_info` | gauge | `version`, `service` | Version and name of the service. |"


def _errors() -> Iterator[str]:
    yield "The `code` of an error in JSON, its HTTP status, and the exit code of a command.\n"
    yield "| Code | Status | Exit | |\n| --- | --- | --- | --- |"
    kinds = {
        kind.code: kind
        for kind in reversed(vars(errors).values())
        if isinstance(kind, type) and issubclass(kind, errors.StoryHashError)
    }
    for code, known in error_codes().items():
        kind = kinds.get(code)
        text = " ".join((kind.__doc__ or "").split()) if kind else ""
        summary = text if text.startswith(known.title) else f"{known.title}."
        # Without a class of its own, a code is a refusal of the API; see ApiError.
        exits = kind.exit_code if kind else ApiError(known.statuses[0], code, "").exit_code
        yield f"| `{code}` | {', '.join(map(str, known.statuses))} | {exits} | {summary} |"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
