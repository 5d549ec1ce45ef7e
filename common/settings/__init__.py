"""All settings, read from STORYHASH_ variables with `__` between levels.

`STORYHASH_QDRANT__URL=x` sets `settings.qdrant.url`. An unknown variable is an error, so that a misspelt
name is noticed. Only `load_settings` reads the environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.settings.http import HttpSettings
    from common.settings.jobs import JobSettings
    from common.settings.kafka import KafkaSettings
    from common.settings.load import (
        data_dir_is_given,
        describe_data_dir,
        load_settings,
        setting_names,
    )
    from common.settings.matching import MatchingSettings, PolicySettings
    from common.settings.models import ClipSettings, DeviceSettings, Sam2Settings, SscdSettings
    from common.settings.searcher import QdrantSettings, SearcherSettings
    from common.settings.second_opinion import SecondOpinionSettings
    from common.settings.service import ServiceSettings
    from common.settings.state import StateSettings
    from common.settings.thumbnails import ThumbnailSettings
    from common.settings.tree import ENV_PREFIX, Settings
    from common.settings.video import IngestSettings, VideoSettings
    from common.settings.webhooks import WebhookSettings

__all__ = [
    "ENV_PREFIX",
    "ClipSettings",
    "DeviceSettings",
    "HttpSettings",
    "IngestSettings",
    "JobSettings",
    "KafkaSettings",
    "MatchingSettings",
    "PolicySettings",
    "QdrantSettings",
    "Sam2Settings",
    "SearcherSettings",
    "SecondOpinionSettings",
    "ServiceSettings",
    "Settings",
    "SscdSettings",
    "StateSettings",
    "ThumbnailSettings",
    "VideoSettings",
    "WebhookSettings",
    "data_dir_is_given",
    "describe_data_dir",
    "load_settings",
    "setting_names",
]

# Decoder processes get two groups from their parent process, and start faster without the others.
_MODULES = {
    "http": ("HttpSettings",),
    "jobs": ("JobSettings",),
    "kafka": ("KafkaSettings",),
    "load": ("data_dir_is_given", "describe_data_dir", "load_settings", "setting_names"),
    "matching": ("MatchingSettings", "PolicySettings"),
    "models": ("ClipSettings", "DeviceSettings", "Sam2Settings", "SscdSettings"),
    "searcher": ("QdrantSettings", "SearcherSettings"),
    "second_opinion": ("SecondOpinionSettings",),
    "service": ("ServiceSettings",),
    "state": ("StateSettings",),
    "thumbnails": ("ThumbnailSettings",),
    "tree": ("ENV_PREFIX", "Settings"),
    "video": ("IngestSettings", "VideoSettings"),
    "webhooks": ("WebhookSettings",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"common.settings.{_MODULE_OF[name]}"), name)
