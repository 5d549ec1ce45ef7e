"""Where the second index of a data folder is: an ordinary data folder of another profile, inside it."""

from __future__ import annotations

from pathlib import Path

from common.settings import SecondOpinionSettings, Settings, ThumbnailSettings

FOLDER = "second-opinion"


def second_folder(data_dir: Path) -> Path:
    """Where the second index of a data folder is, or would be."""
    return data_dir / FOLDER


def settings_of_second(settings: Settings, profile: str) -> Settings:
    """The settings of the second index from those of the first one: its folder, its profile, its Qdrant
    collection."""
    collection = f"{settings.qdrant.collection}-{FOLDER}"
    return settings.model_copy(
        update={
            "data_dir": second_folder(settings.data_dir),
            "profile": profile,
            "qdrant": settings.qdrant.model_copy(update={"collection": collection}),
            "second_opinion": SecondOpinionSettings(),
            "thumbnails": ThumbnailSettings(),
        }
    )
