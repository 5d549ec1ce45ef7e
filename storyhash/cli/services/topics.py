"""`storyhash topics`: creates and checks the Kafka topics of the services."""

from __future__ import annotations

from typing import Any

import typer

from common.settings import load_settings
from storyhash.cli.shared.console import out, print_json
from storyhash.cli.shared.listing import Item, print_items
from storyhash.cli.shared.options import JsonOption

app = typer.Typer(help="Create and check the Kafka topics.", no_args_is_help=True)


@app.command("create")
def create(json: JsonOption = False) -> None:
    """Create missing topics, and correct existing ones.

    Only the configuration of topics is corrected; messages stay. You can run this again at any time.

    The topics are those of STORYHASH_KAFKA__TOPIC_PREFIX and STORYHASH_KAFKA__GENERATION.
    """
    from common.kafka.topics import create_topics

    settings = load_settings()
    before = create_topics(settings.kafka, settings.video)
    rows = [
        {
            "topic": state.spec.name,
            "done": "made" if state.missing else "unchanged" if state.correct else "corrected",
            "was": state.describe(),
        }
        for state in before
    ]
    print_items(rows, _change_line, as_json=json)


@app.command("check")
def check(json: JsonOption = False) -> None:
    """Compare the topics with the required configuration. Exit code 1 when one differs."""
    from common.kafka.topics import check_topics

    settings = load_settings()
    states = check_topics(settings.kafka, settings.video)
    if json:
        print_json({"items": [_row(state) for state in states], "next_cursor": None})
    else:
        for state in states:
            out.print(f"{state.spec.name}: {state.describe()}", markup=False)
    if not all(state.correct for state in states):
        raise typer.Exit(1)


def _change_line(row: Item) -> str:
    was = f"  (was: {row['was']})" if row["done"] == "corrected" else ""
    return f"{row['done']:9}  {row['topic']}{was}"


def _row(state: Any) -> dict[str, Any]:
    return {
        "topic": state.spec.name,
        "state": "missing" if state.missing else "ok" if state.correct else "differs",
        "usable": state.usable,
        "differences": {
            name: {"is": actual, "must": expected}
            for name, (actual, expected) in state.differences.items()
        },
    }
