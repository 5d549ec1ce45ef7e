"""The service at `--server`, called with the API key of the settings."""

from __future__ import annotations

from common.settings import load_settings
from storyhash.client.catalogue import RemoteCatalogue


def remote_catalogue(server: str) -> RemoteCatalogue:
    """A client of the service at `server`. Raises UsageError for an invalid address, SettingsError."""
    return RemoteCatalogue(server, load_settings().api_key)
