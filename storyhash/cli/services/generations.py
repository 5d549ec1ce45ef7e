"""`storyhash generations`: manages indexes with different models; one of them answers queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from common.errors import StoryHashError, UsageError
from storyhash.cli.shared.listing import Item, print_done, print_item, print_items
from storyhash.cli.shared.options import JsonOption
from storyhash.cli.shared.remote_catalogue import remote_catalogue
from storyhash.client.catalogue import RemoteCatalogue

app = typer.Typer(help="Manage the index generations of a running searcher.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the generation; '' is the first one.")
]
SearcherOption = Annotated[str, typer.Option("--server", help="Address of the searcher.")]
_HERE = "http://127.0.0.1:8000"


@app.command("list")
def list_generations(server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Print every generation that the searcher follows."""
    with _searcher(server) as catalogue:
        items = catalogue.generations()
    print_items(items, _line, as_json=json)


@app.command("follow")
def follow(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Build the index of a new generation.

    The searcher builds it from the log of that generation, beside the active index. A generation that
    failed is tried again.
    """
    with _searcher(server) as catalogue:
        print_item(catalogue.follow(name), _line, as_json=json)


@app.command("activate")
def activate(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Answer queries from this generation.

    That begins with the next query. The previous generation is still followed; to go back, activate it
    again.
    """
    with _searcher(server) as catalogue:
        print_item(catalogue.activate(name), _line, as_json=json)


@app.command("drop")
def drop(name: NameArgument, server: SearcherOption = _HERE, json: JsonOption = False) -> None:
    """Stop following a generation and delete its index. Its topics are kept."""
    with _searcher(server) as catalogue:
        catalogue.drop(name)
    print_done("dropped", name, as_json=json)


@contextmanager
def _searcher(server: str) -> Iterator[RemoteCatalogue]:
    """The searcher at this address. Raises UsageError for a service without generations."""
    with remote_catalogue(server) as catalogue:
        try:
            yield catalogue
        except StoryHashError as error:
            if error.code != "no_such_route":
                raise
            raise UsageError(
                f"{catalogue.service.url} has no generations: only `storyhash search`, over Kafka, has "
                "them; give its address with --server. If `storyhash serve` is there, it holds the "
                "indexes of its data folder, which `storyhash doctor --data DIR` shows"
            ) from None


def _line(item: Item) -> str:
    reasons = "; ".join(item["waiting_for"].values())
    return (
        f"{'active' if item['answers'] else 'standby':9}  "
        f"{item['generation'] or '(first)'}  {item['model_id'] or 'no model yet'}  "
        f"{item['videos']} videos, {item['vectors']} vectors"
        + (f"  waiting for: {reasons}" if reasons and not item.get("error") else "")
        + (f"  failed: {item['error']}" if item.get("error") else "")
    )
