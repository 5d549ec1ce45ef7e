"""The catalogue that a command uses: that of a data folder, or that of a running service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from common.settings import load_settings
from searcher.video_index import VideoIndex
from storyhash.cli.shared.options import announce_data_folder, one_of
from storyhash.wiring import open_catalogue

if TYPE_CHECKING:
    from storyhash.client.catalogue import RemoteCatalogue

Local = TypeVar("Local")


@contextmanager
def opened_catalogue(
    local: Callable[[VideoIndex], Local], data: Path | None, server: str | None, *, writer: bool
) -> Iterator[Local | RemoteCatalogue]:
    """The catalogue of the service at `server`, or `local` over the folder's index. Raises UsageError if
    both are given."""
    one_of(data, server)
    if server is not None:
        from storyhash.cli.shared.remote_catalogue import remote_catalogue

        with remote_catalogue(server) as remote:
            yield remote
        return
    settings = load_settings(data_dir=data)
    if writer:
        announce_data_folder(settings)
    with open_catalogue(settings, writer=writer) as index:
        yield local(index)
