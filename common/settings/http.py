"""Settings of the HTTP server of every service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.settings.group import SettingsGroup


class HttpSettings(SettingsGroup):
    """The API, health and metrics of the running service."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port to listen on (default: 8000 for the API, 8001 for embedders, 8002 for "
        "producers). 0 takes a free port and prints it.",
    )
    allow_unauthenticated: bool = Field(
        False,
        description="With STORYHASH_HTTP__REQUIRE_KEYS=auto: require no key on any address until one "
        "exists. Until then everyone who reaches the port may read, add and delete videos. Use it in "
        "protected networks only.",
    )
    require_keys: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether callers need an API key: always, never, or auto (as soon as a key has been "
        "created, and from the start on addresses that other machines can reach).",
    )
    metrics_need_key: bool = Field(
        False,
        description="Require a key for /metrics too: of any role, but for all banks, because metrics "
        "name banks.",
    )
    access_log: bool = Field(
        False, description="Log every request as one JSON object per line on standard error."
    )
    requests_per_minute: int = Field(
        6000,
        ge=0,
        description="Requests per minute of each key, unless the key has a value of its own. 0 means no "
        "limit.",
    )
    max_failed_keys_per_minute: int = Field(
        60,
        ge=0,
        description="Maximum requests with unknown keys per minute and client address; further keys are "
        "refused without a check. 0 means no limit, for a service behind a proxy.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names under which callers reach the service, and origins of web pages that may "
        "call it, in addition to localhost, the server's address and `host`. `*` allows every Host "
        "header, but not every origin.",
    )
    content_folders: tuple[Path, ...] = Field(
        (),
        description="Folders whose indexed videos may be played on the review page "
        "(`/v1/videos/{id}/content`), by every caller who may see the video (default: none, so no file "
        "is sent).",
    )
    max_upload_bytes: int = Field(
        2 * 1024**3, gt=0, description="Largest video accepted as an upload, in bytes."
    )
    max_uploads: int = Field(64, ge=1, description="Maximum number of concurrent uploads.")
    max_uploads_per_address: int = Field(
        32,
        ge=0,
        description="Maximum number of concurrent uploads per client address. 0 means no limit.",
    )
    max_uploads_bytes: int = Field(
        8 * 1024**3,
        gt=0,
        description="Maximum disk space used by uploads at the same time, in bytes.",
    )
    max_kept_uploads_bytes: int = Field(
        64 * 1024**3,
        gt=0,
        description="Maximum disk space of the uploaded videos of the catalogue, in bytes. They are in "
        "the folder `uploads` of the data folder until they are deleted.",
    )
    max_connections: int = Field(512, ge=1, description="Maximum number of open connections.")
    max_connections_per_address: int = Field(
        64,
        ge=0,
        description="Maximum number of open connections per client address (IPv6: per /64 network). 0 "
        "means no limit, for a service behind a proxy.",
    )
    head_seconds: float = Field(
        10.0, gt=0, description="Maximum seconds to receive the headers of a request."
    )
    keep_alive_seconds: float = Field(
        5.0, gt=0, description="Seconds that an idle connection is kept open for the next request."
    )
    body_window_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds over which the transfer rate of a request body is averaged.",
    )
    min_body_bytes_per_second: int = Field(
        1024,
        ge=1,
        description="Minimum transfer rate of a request body, in bytes per second. A slower request is "
        "rejected.",
    )
    max_body_seconds: float = Field(
        3600.0, gt=0, description="Maximum seconds to receive a request body, at any rate."
    )
