"""Settings for decoding videos and for reading a catalogue."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.settings.group import SettingsGroup


class VideoSettings(SettingsGroup):
    """Limits on decoding, and the format of the small clips that hold segments."""

    max_pixels: int = Field(
        3840 * 2160 * 2,
        gt=0,
        description="Largest frame that is decoded, width x height in pixels.",
    )
    max_frames: int = Field(
        4_000_000, gt=0, description="Maximum number of frames decoded from one video."
    )
    max_seconds: float = Field(6 * 3600.0, gt=0, description="Longest video, in seconds.")
    wall_seconds: float = Field(
        3600.0,
        gt=0,
        description="Maximum seconds a decoder may spend on one video before it is killed.",
    )
    stall_seconds: float = Field(
        20.0,
        gt=0,
        description="Maximum seconds a decoder may run without producing a frame or a packet before "
        "it is killed. Time spent waiting for a CPU does not count.",
    )
    start_seconds: float = Field(
        120.0, gt=0, description="Maximum seconds a decoder process may take to start."
    )
    memory_mib: int = Field(
        1024, gt=0, description="Maximum address space a decoder may allocate, in MiB."
    )
    frames_per_second: float = Field(
        8.0, gt=0, description="Maximum frame rate of a clip, in frames per second."
    )
    short_side: int = Field(
        480, ge=32, description="Maximum length of a clip's shorter side, in pixels."
    )
    max_clip_pixels: int = Field(
        1280 * 720,
        ge=32 * 32,
        description="Largest frame of a clip, width x height in pixels. Larger frames are scaled down.",
    )
    max_clip_bytes: int = Field(
        4 * 1024 * 1024,
        gt=0,
        description="Largest clip, in bytes. Also limits the size of a Kafka message.",
    )


class IngestSettings(SettingsGroup):
    """How a catalogue becomes segments."""

    segment_seconds: float = Field(4.0, gt=0, description="Length of a segment, in seconds.")
    min_tail_seconds: float = Field(
        2.0,
        ge=0,
        description="A remainder shorter than this many seconds is merged into the previous segment.",
    )
    workers: int = Field(
        0, ge=0, description="Number of decoder processes. 0 means one per CPU core."
    )
    allowed_schemes: tuple[str, ...] = Field(
        ("http", "https"), description="URI schemes of remote videos that may be downloaded."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Hosts that videos may be downloaded from. Empty means every public host."
    )
    max_fetch_bytes: int = Field(
        8 * 1024**3, gt=0, description="Largest remote video that is downloaded, in bytes."
    )
    fetch_timeout_seconds: float = Field(
        30.0, gt=0, description="Maximum seconds without data during a download before it fails."
    )
    max_fetch_seconds: float = Field(
        3600.0, gt=0, description="Maximum seconds that one download may take."
    )
    download_dir: Path | None = Field(
        None,
        description="Folder for remote videos while they are decoded (default: "
        "`storyhash-<user>-downloads` in the system's temporary folder). It needs free space for "
        "MAX_FETCH_BYTES per decoder process.",
    )
    watch_seconds: float = Field(
        2.0,
        gt=0,
        description="Seconds between two scans of a watched folder. Slow scans are made less often.",
    )
    quiet_seconds: float = Field(
        5.0,
        ge=0,
        description="A file in a watched folder is complete when it has not changed for this many "
        "seconds.",
    )
