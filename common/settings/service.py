"""Settings of the long-running services."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from common.settings.group import SettingsGroup


class ServiceSettings(SettingsGroup):
    """Batches, retries, shutdown, and the searcher's embedders."""

    batch_messages: int = Field(
        2_000, ge=1, description="Maximum number of messages the searcher processes per batch."
    )
    retry_seconds: float = Field(
        1.0,
        gt=0,
        description="Seconds before the first retry after a dependency failed. The delay doubles with "
        "every retry.",
    )
    max_retry_seconds: float = Field(30.0, gt=0, description="Maximum seconds between two retries.")
    stop_seconds: float = Field(
        20.0,
        gt=0,
        description="Maximum seconds a service may take to finish its work after SIGTERM.",
    )
    snapshot_seconds: float = Field(
        300.0, gt=0, description="Seconds between two snapshots of the searcher's index."
    )
    audit_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds between two audits, which compare a sample of the index with exact search "
        "and with the mirror.",
    )
    match_new_videos: bool = Field(
        True, description="Match every new video against the catalogue and publish the matches."
    )
    embedder_urls: tuple[str, ...] = Field(
        ("http://127.0.0.1:8001",),
        description="Embedders that the searcher sends queries to. The first one that responds with the "
        "index's model is used.",
    )
    embedder_api_key: SecretStr | None = Field(
        None,
        description="API key that the searcher sends to its embedders (default: none). Embedders require "
        "one if other machines can reach them; the role reader is enough.",
    )
    embed_timeout_seconds: float = Field(
        600.0, gt=0, description="Maximum seconds an embedder may take for one query."
    )
    backup_dir: Path | None = Field(
        None,
        description="Folder for the backups of this service, better on another disk (default: none). "
        "Each service needs a folder of its own. See `storyhash snapshot create`.",
    )
    backup_keep: int = Field(
        7, ge=1, description="Number of complete backups to keep; older ones are deleted."
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="Log lines on standard error as text, or as one JSON object per line with the ids of "
        "the request, the video and the trace.",
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Collector of OpenTelemetry that spans are sent to, by OTLP over HTTP, for example "
        "http://127.0.0.1:4318 (default: none). It needs the extra `otel`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged: debug, info, warning or error."
    )
