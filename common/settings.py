"""The one tree of settings, read from STORYHASH_ variables with `__` between levels.

`STORYHASH_QDRANT__URL=x` sets `settings.qdrant.url`. A variable that names no setting is an error,
so a misspelt one is never silently ignored. Only `load_settings` reads the environment.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.errors import SettingsError

ENV_PREFIX = "STORYHASH_"
# Switches of the test-suite, not settings of the product.
_TEST_SWITCHES = ("STORYHASH_TEST_", "STORYHASH_REQUIRE")


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VideoSettings(_Group):
    """Bounds on decoding, and the form of the small clips segments are packed as."""

    max_pixels: int = Field(3840 * 2160 * 2, gt=0, description="Largest picture, width x height.")
    max_frames: int = Field(4_000_000, gt=0, description="Most frames decoded from one video.")
    max_seconds: float = Field(6 * 3600.0, gt=0, description="Longest video.")
    wall_seconds: float = Field(
        3600.0, gt=0, description="Longest time spent on one video before its decoder is killed."
    )
    stall_seconds: float = Field(
        20.0,
        gt=0,
        description="Longest silence of a decoder at work, without a frame or a packet, before it is "
        "killed; time it waits for a processor does not count.",
    )
    start_seconds: float = Field(
        120.0, gt=0, description="Longest start of a decoder process, its imports included."
    )
    memory_mib: int = Field(1024, gt=0, description="Address space a decoder may add, MiB.")
    frames_per_second: float = Field(8.0, gt=0, description="Highest frame rate of a clip.")
    short_side: int = Field(480, ge=32, description="Largest short side of a clip, pixels.")
    max_clip_pixels: int = Field(
        1280 * 720,
        ge=32 * 32,
        description="Largest picture of a clip, width x height; wide ones are made smaller to it.",
    )
    max_clip_bytes: int = Field(
        4 * 1024 * 1024, gt=0, description="Largest clip; also bounds a Kafka message."
    )


class IngestSettings(_Group):
    """How a catalogue becomes segments."""

    segment_seconds: float = Field(4.0, gt=0, description="Length of a segment.")
    min_tail_seconds: float = Field(
        2.0, ge=0, description="A remainder shorter than this joins the segment before it."
    )
    workers: int = Field(0, ge=0, description="Decoder processes; 0 means one a core.")
    allowed_schemes: tuple[str, ...] = Field(
        ("http", "https"), description="URI schemes that may be fetched."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Hosts that may be fetched from; empty means every public host."
    )
    max_fetch_bytes: int = Field(
        8 * 1024**3, gt=0, description="Largest remote file that is fetched."
    )
    fetch_timeout_seconds: float = Field(
        30.0, gt=0, description="Longest silence of a server while a video is fetched from it."
    )
    max_fetch_seconds: float = Field(
        3600.0, gt=0, description="Longest time one remote video may take to be fetched."
    )
    download_dir: Path | None = Field(
        None,
        description="Folder for remote videos while they are decoded; `storyhash-<user>-downloads` in "
        "the system's temporary folder by default. Give it room for MAX_FETCH_BYTES times the workers.",
    )
    watch_seconds: float = Field(
        2.0, gt=0, description="How often a watched folder is looked at, where a look is quick."
    )
    quiet_seconds: float = Field(
        5.0, ge=0, description="A watched file that has not changed for so long is finished."
    )


class SscdSettings(_Group):
    """The SSCD copy-detection network."""

    model: Literal["full", "distilled"] = Field("full", description="Which packaged network.")
    path: Path | None = Field(
        None, description="An ONNX or TorchScript file to use instead of the package's."
    )


class ClipSettings(_Group):
    """CLIP, the visual part of the paper's recipe."""

    model: str = Field(
        "openai/clip-vit-base-patch32",
        min_length=1,
        description="A model of the hub, or a folder that holds one; 512 numbers a picture.",
    )
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit of the hub to pull and load, 40 hex digits. By default the newest is "
        "pulled, and what was pulled is loaded.",
    )


class Sam2Settings(_Group):
    """SAM 2.1, the tracker of the paper's recipe; its objects are proposed without a prompt."""

    model: str = Field(
        "facebook/sam2.1-hiera-tiny",
        min_length=1,
        description="A SAM 2 or EdgeTAM video model of the hub, or a folder that holds one.",
    )
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit of the hub to pull and load, 40 hex digits. By default the newest is "
        "pulled, and what was pulled is loaded.",
    )
    image_size: int | None = Field(
        None, ge=64, multiple_of=32, description="Side of the square it sees; its own by default."
    )
    frames_per_second: float = Field(4.0, gt=0, description="How often it looks.")
    min_predicted_iou: float = Field(
        0.7, ge=0, le=1, description="A proposed object it trusts less than this is left out."
    )
    min_stability: float = Field(
        0.8, ge=0, le=1, description="The same for how steady the object's outline is."
    )


class DeviceSettings(_Group):
    """Where networks run."""

    name: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="cuda, cuda:N, mps, cpu; auto takes the first of these that is here. Networks in "
        "ONNX files run on the CPU whatever it says.",
    )
    precision: Literal["auto", "fp32"] = Field(
        "auto",
        description="auto uses half precision where, tried on load, it keeps vectors within cosine "
        "0.999 of full precision.",
    )
    batch_size: int = Field(
        32, ge=1, description="Pictures at once; halved by itself when memory runs out."
    )


class SearcherSettings(_Group):
    """The FAISS shard, its snapshots and its mirror."""

    backend: Literal["faiss"] = Field("faiss", description="What answers searches.")
    hnsw_m: int = Field(16, ge=4, description="Links a node of the HNSW graph.")
    ef_construction: int = Field(200, ge=8, description="Beam width while the graph is built.")
    ef_search: int = Field(64, ge=1, description="Beam width of a search.")
    delta_rows: int = Field(
        2_000, ge=1, description="New vectors searched one by one before the graph takes them in."
    )
    delta_ratio: float = Field(
        0.004,
        gt=0,
        lt=1,
        description="The same as a share of the graph, where that is more: each time all of it is "
        "copied.",
    )
    max_dead_ratio: float = Field(
        0.25, gt=0, lt=1, description="Share of deleted vectors that starts a rebuild."
    )
    keep_snapshots: int = Field(2, ge=1, description="Snapshots kept; an older one is a spare.")
    mirror: Literal["edge", "server", "local"] = Field(
        "edge",
        description="Where vectors are kept: Qdrant's embedded engine (edge), a Qdrant server, "
        "or qdrant-client's local mode (small catalogues only).",
    )


class PolicySettings(_Group):
    """What a match must reach to be called a copy; what is left out is the calibration's."""

    copy_probability: float | None = Field(
        None, ge=0, le=1, description="From here on a match is a copy."
    )
    review_probability: float | None = Field(
        None, ge=0, le=1, description="From here on a match is shown to a reviewer."
    )
    min_seconds: float | None = Field(
        None, ge=0, description="A match of fewer seconds of the query is none."
    )
    min_coverage: float | None = Field(
        None, ge=0, le=1, description="A match of a smaller share of the query is none."
    )


class MatchingSettings(_Group):
    """How hits become decisions."""

    calibration: Path | None = Field(
        None,
        description="A calibration written by `storyhash evaluate calibrate`, not the shipped one.",
    )
    policy: PolicySettings = PolicySettings()
    banks: dict[str, PolicySettings] = Field(
        {}, description='Policies of single banks, as JSON: {"news": {"min_seconds": 10}}.'
    )


class QdrantSettings(_Group):
    """A Qdrant server, used when `searcher.mirror` is `server`."""

    url: str = Field("http://127.0.0.1:6333", description="Its REST address.")
    api_key: SecretStr | None = Field(None, description="Its API key.")
    collection: str = Field("storyhash", description="The collection that mirrors the shard.")
    timeout_seconds: float = Field(10.0, gt=0, description="Longest wait for an answer.")


class KafkaSettings(_Group):
    """The brokers, the topics' configuration, and how services behave as clients."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        min_length=1,
        description="Brokers to ask first, HOST:PORT[,HOST:PORT...].",
    )
    topic_prefix: str = Field(
        "storyhash",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="What every topic and consumer group begins with.",
    )
    generation: str = Field(
        "",
        pattern=r"^[a-z0-9-]{0,40}$",
        description="The index generation worked for; empty is the first. See operations.md.",
    )
    partitions: int = Field(12, ge=1, description="Partitions of a topic that is created.")
    replication: int = Field(
        1, ge=1, description="Copies of a topic that is created; 3 in production."
    )
    retention_hours: float = Field(
        168.0, gt=0, description="How long segments, matches and dead letters stay."
    )
    max_lag_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Producers wait while embedders have not taken a message for this share of its "
        "retention.",
    )
    purge_hours: float = Field(
        24.0,
        gt=0,
        description="How long what is deleted or replaced stays in the log of embeddings at most, until "
        "it is compacted.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to."
    )
    ca_file: Path | None = Field(
        None, description="Authority that signed the brokers' certificates."
    )
    certificate_file: Path | None = Field(None, description="This client's certificate, PEM.")
    key_file: Path | None = Field(None, description="Its private key, PEM.")
    key_password: SecretStr | None = Field(None, description="What the private key is locked with.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How a name is proved when the protocol is SASL."
    )
    sasl_username: str | None = Field(None, description="The name.")
    sasl_password: SecretStr | None = Field(None, description="Its password.")
    instance_id: str | None = Field(
        None,
        description="A name that stays over restarts makes a static member: its partitions wait for it "
        "until the session times out.",
    )
    session_timeout_seconds: float = Field(
        15.0, gt=0, description="Silence after which a member's partitions go to others."
    )
    max_poll_seconds: float = Field(
        120.0, gt=0, description="A member that takes nothing for so long is taken for stuck."
    )
    request_timeout_seconds: float = Field(15.0, gt=0, description="Longest wait for one answer.")
    delivery_timeout_seconds: float = Field(
        120.0, gt=0, description="How long a message is tried before its sender is told."
    )
    max_inflight_mib: int = Field(64, ge=1, description="Bytes on their way before a sender waits.")


class HttpSettings(_Group):
    """The API, health and metrics of whatever service runs."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen at.")
    port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port; 0 takes a free one and prints it. By default 8000 for the API, 8001 for "
        "embedders, 8002 for producers.",
    )
    allow_unauthenticated: bool = Field(
        False,
        description="Listen beyond this machine though callers need no key: whoever reaches the port may "
        "read, add and delete. Only where the network lets nobody else in.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names by which callers may reach the service, besides localhost, its address and "
        "`host`; also of web pages that may call it. `*` allows every name in Host, not every page.",
    )
    max_upload_bytes: int = Field(2 * 1024**3, gt=0, description="Largest video taken as a query.")
    max_uploads: int = Field(64, ge=1, description="Most uploads received at once.")
    max_uploads_per_address: int = Field(
        32, ge=0, description="Of which from one address; 0 means no bound of its own."
    )
    max_uploads_bytes: int = Field(
        8 * 1024**3, gt=0, description="Most bytes of uploads on disk at once."
    )
    max_connections: int = Field(512, ge=1, description="Most connections at once.")
    max_connections_per_address: int = Field(
        64,
        ge=0,
        description="Of which from one address (IPv6: one /64 network); 0 means no bound, for a service "
        "behind a proxy.",
    )
    head_seconds: float = Field(
        10.0, gt=0, description="Longest time in which the head of a request must come."
    )
    keep_alive_seconds: float = Field(
        5.0, gt=0, description="How long a connection is kept between two requests."
    )
    body_window_seconds: float = Field(
        10.0, gt=0, description="Over how long the rate of a request's body is averaged."
    )
    min_body_bytes_per_second: int = Field(
        1024, ge=1, description="A body that comes slower is given up on."
    )
    max_body_seconds: float = Field(
        3600.0, gt=0, description="Longest time in which a body must come, whatever its rate."
    )


class ServiceSettings(_Group):
    """How the services over Kafka work."""

    batch_messages: int = Field(
        2_000, ge=1, description="Most messages the searcher takes in one step."
    )
    retry_seconds: float = Field(
        1.0, gt=0, description="First pause after a dependency failed; it doubles."
    )
    max_retry_seconds: float = Field(30.0, gt=0, description="Longest pause between tries.")
    stop_seconds: float = Field(
        20.0, gt=0, description="Longest a service finishes work after SIGTERM."
    )
    snapshot_seconds: float = Field(
        300.0, gt=0, description="How often the searcher writes its shard to disk."
    )
    audit_seconds: float = Field(
        60.0,
        gt=0,
        description="How often a part of the index is held against exact search and mirror.",
    )
    match_new_videos: bool = Field(
        True, description="Match every new video against the catalogue and publish what is found."
    )
    embedder_urls: tuple[str, ...] = Field(
        ("http://127.0.0.1:8001",),
        description="Embedders the searcher has queries embedded by; the first that answers with the "
        "index's model is used.",
    )
    embed_timeout_seconds: float = Field(
        600.0, gt=0, description="Longest an embedder may take for one query."
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Field(Path("storyhash-data"), description="The index of one machine.")
    profile: str = Field(
        "auto",
        description="Recipe of the vector; auto picks once, when a data folder is made, and holds.",
    )
    video: VideoSettings = VideoSettings()
    ingest: IngestSettings = IngestSettings()
    sscd: SscdSettings = SscdSettings()
    clip: ClipSettings = ClipSettings()
    sam2: Sam2Settings = Sam2Settings()
    device: DeviceSettings = DeviceSettings()
    searcher: SearcherSettings = SearcherSettings()
    matching: MatchingSettings = MatchingSettings()
    qdrant: QdrantSettings = QdrantSettings()
    kafka: KafkaSettings = KafkaSettings()
    service: ServiceSettings = ServiceSettings()
    http: HttpSettings = HttpSettings()


def setting_names(model: type[BaseModel] = Settings, prefix: str = ENV_PREFIX) -> Iterator[str]:
    """The environment variable of every leaf setting, in the order they are declared."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from setting_names(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment; keyword arguments (None means unset) win over it.

    Raises SettingsError that names the variable, and the nearest real one when it is misspelt.
    """
    known = set(setting_names())
    for variable in environ if environ is not None else os.environ:
        name = variable.upper()
        if not name.startswith(ENV_PREFIX) or name.startswith(_TEST_SWITCHES) or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "`storyhash config` lists every setting"
        raise SettingsError(f"unknown setting {variable}: {hint}")
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        variable = ENV_PREFIX + "__".join(str(part).upper() for part in first["loc"])
        raise SettingsError(f"{variable}: {first['msg']}") from None
