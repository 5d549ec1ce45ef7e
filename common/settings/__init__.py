"""The one tree of settings, read from STORYHASH_ variables with `__` between levels.

`STORYHASH_QDRANT__URL=x` sets `settings.qdrant.url`. An unknown variable is an error, so a
misspelt one is never silently ignored. Only `load_settings` reads the environment.
"""

from common.settings.data_folder import data_dir_is_given, describe_data_dir
from common.settings.http import HttpSettings
from common.settings.kafka import KafkaSettings
from common.settings.load import load_settings, setting_names
from common.settings.matching import MatchingSettings, PolicySettings
from common.settings.models import ClipSettings, DeviceSettings, Sam2Settings, SscdSettings
from common.settings.searcher import QdrantSettings, SearcherSettings
from common.settings.service import ServiceSettings
from common.settings.state import StateSettings
from common.settings.tree import ENV_PREFIX, Settings
from common.settings.video import IngestSettings, VideoSettings

__all__ = [
    "ENV_PREFIX",
    "ClipSettings",
    "DeviceSettings",
    "HttpSettings",
    "IngestSettings",
    "KafkaSettings",
    "MatchingSettings",
    "PolicySettings",
    "QdrantSettings",
    "Sam2Settings",
    "SearcherSettings",
    "ServiceSettings",
    "Settings",
    "SscdSettings",
    "StateSettings",
    "VideoSettings",
    "data_dir_is_given",
    "describe_data_dir",
    "load_settings",
    "setting_names",
]
