"""The root of the settings tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.settings.data_folder import default_data_dir
from common.settings.group import without_empty
from common.settings.http import HttpSettings
from common.settings.jobs import JobSettings
from common.settings.kafka import KafkaSettings
from common.settings.matching import MatchingSettings
from common.settings.models import ClipSettings, DeviceSettings, Sam2Settings, SscdSettings
from common.settings.searcher import QdrantSettings, SearcherSettings
from common.settings.second_opinion import SecondOpinionSettings
from common.settings.service import ServiceSettings
from common.settings.state import StateSettings
from common.settings.thumbnails import ThumbnailSettings
from common.settings.video import IngestSettings, VideoSettings
from common.settings.webhooks import WebhookSettings

ENV_PREFIX = "STORYHASH_"


class Settings(BaseSettings):
    """Every setting."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: Any) -> Any:
        return without_empty(values)

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Data folder (default: `storyhash-data` in the current folder if it exists, "
        "otherwise `storyhash` in the user's data directory, `~/.local/share` on Linux).",
    )
    profile: str = Field(
        "auto",
        description="Profile that makes the vectors, one of `storyhash models list`, or auto: the "
        "profile of the index; for a new index sscd-motion if it is installed, else offline.",
    )
    api_key: SecretStr | None = Field(
        None, description="API key that commands send to the service at `--server` (default: none)."
    )
    video: VideoSettings = VideoSettings()
    ingest: IngestSettings = IngestSettings()
    sscd: SscdSettings = SscdSettings()
    clip: ClipSettings = ClipSettings()
    sam2: Sam2Settings = Sam2Settings()
    device: DeviceSettings = DeviceSettings()
    searcher: SearcherSettings = SearcherSettings()
    matching: MatchingSettings = MatchingSettings()
    second_opinion: SecondOpinionSettings = SecondOpinionSettings()
    qdrant: QdrantSettings = QdrantSettings()
    kafka: KafkaSettings = KafkaSettings()
    service: ServiceSettings = ServiceSettings()
    http: HttpSettings = HttpSettings()
    state: StateSettings = StateSettings()
    jobs: JobSettings = JobSettings()
    webhooks: WebhookSettings = WebhookSettings()
    thumbnails: ThumbnailSettings = ThumbnailSettings()
