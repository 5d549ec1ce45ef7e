"""`storyhash generations`: a catalogue embedded anew, and which index of it answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from storyhash.cli.console import out, print_json
from storyhash.cli.options import JsonOption
from storyhash.client.catalogue import RemoteCatalogue

app = typer.Typer(
    help="Follow, activate and drop generations of the index of a running searcher.",
    no_args_is_help=True,
)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name; '' is the first generation's.")
]
SearcherOption = Annotated[str, typer.Option("--server", help="Address of the searcher.")]
_HERE = "http://127.0.0.1:8000"


@app.command("list")
def list_generations(server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Print every generation the searcher follows."""
    with RemoteCatalogue(server) as catalogue:
        items = catalogue.generations()
    if json:
        print_json({"items": items, "next_cursor": None})
        return
    for item in items:
        _show(item)


@app.command("follow")
def follow(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Have the searcher read the log of a further generation into an index of its own, beside the one
    that answers. One that has failed is tried again."""
    with RemoteCatalogue(server) as catalogue:
        _tell(catalogue.follow(name), json)


@app.command("activate")
def activate(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Have a generation answer from the next query on. The one before is kept and followed, so the way
    back is the same command with its name."""
    with RemoteCatalogue(server) as catalogue:
        _tell(catalogue.activate(name), json)


@app.command("drop")
def drop(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Follow a generation no more and delete its index. Its topics stay."""
    with RemoteCatalogue(server) as catalogue:
        catalogue.drop(name)
    if json:
        print_json({"dropped": name})
        return
    out.print(f"dropped {name}", markup=False)


def _tell(item: dict[str, Any], json: bool) -> None:
    if json:
        print_json(item)
    else:
        _show(item)


def _show(item: dict[str, Any]) -> None:
    waiting = "; ".join(item["waiting_for"].values())
    out.print(
        f"{'answers' if item['answers'] else 'stands by':9}  {item['generation'] or '(first)'}  "
        f"{item['model_id'] or 'no model yet'}  {item['videos']} videos, {item['vectors']} vectors"
        + (f"  waits: {waiting}" if waiting and not item.get("error") else "")
        + (f"  failed: {item['error']}" if item.get("error") else ""),
        markup=False,
    )
