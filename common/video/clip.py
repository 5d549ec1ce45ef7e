"""Small H.264 MP4 clips in memory, and videos on disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from common.errors import VideoError, VideoLimitError
from common.settings import VideoSettings
from common.types import Float64Array, FrameBatch, UInt8Array
from common.video.decode import Decoder, Frame

_CLIP_TIME_BASE = Fraction(1, 1000)
# Ultrafast takes a third of superfast's time for twice its bytes. A clip exists only for minutes.
_PRESET = "ultrafast"
# A constant quantiser needs no rate control, which saves a fifth of the time at the same size. Each step
# of 6 roughly halves the bytes. Above 48 the picture is not recognisable.
_CLIP_QP, _QP_STEP, _MAX_QP = 30, 6, 48
_CLIP_LIMITS = VideoSettings()
# Two minutes of frames at the default rate; a segment has only seconds.
_MAX_FRAMES = 1_000
# Three times the memory of 48 frames of the largest clip picture.
_MAX_BYTES = 384 * 1024 * 1024
# Number of frames allocated first.
_AT_ONCE = 64


def encode_clip(batch: FrameBatch, *, start_seconds: float, max_bytes: int) -> bytes:
    """Encode frames as a small H.264 MP4. Frame times are exact to a millisecond.

    start_seconds: the time that becomes 0 in the clip. A clip of more than `max_bytes` is encoded again
    at lower quality. The same frames always give the same bytes. Raises VideoLimitError if the lowest
    quality is still too large, VideoError without frames.
    """
    ticks = np.round((batch.pts_seconds - start_seconds) / float(_CLIP_TIME_BASE)).astype(int)
    for qp in range(_CLIP_QP, _MAX_QP + 1, _QP_STEP):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as container:
            _write(
                container,
                batch.frames,
                ticks.tolist(),
                Fraction(8),
                _CLIP_TIME_BASE,
                {"qp": str(qp)},
            )
        if buffer.tell() <= max_bytes:
            return buffer.getvalue()
    raise VideoLimitError(
        f"a segment needs more than {max_bytes} bytes (STORYHASH_VIDEO__MAX_CLIP_BYTES)"
    )


def decode_clip(
    clip: bytes,
    *,
    start_seconds: float = 0.0,
    max_frames: int = _MAX_FRAMES,
    max_pixels: int = _CLIP_LIMITS.max_pixels,
    max_bytes: int = _MAX_BYTES,
    beat: Callable[[], None] = lambda: None,
) -> FrameBatch:
    """Decode all frames of a clip, in their own size. Time 0 of the clip is `start_seconds` of the video.

    max_pixels: limit per picture. max_bytes: limit of all pictures together. beat: called at every packet
    and frame, as a sign of life. Raises VideoError, and VideoLimitError if a limit is exceeded.
    """
    limits = _CLIP_LIMITS.model_copy(update={"max_frames": max_frames, "max_pixels": max_pixels})
    decoder = Decoder(
        clip, limits, frames_per_second=1000, short_side=None, origin_seconds=0.0, beat=beat
    )
    frames: UInt8Array = np.zeros((0, 0, 0, 3), np.uint8)
    times: list[float] = []
    decoded_bytes = 0
    try:
        for frame in decoder:
            _check_size(frame, max_pixels)
            decoded_bytes += frame.rgb.nbytes
            if decoded_bytes > max_bytes:
                raise VideoLimitError(f"its frames need more than {max_bytes >> 20} MiB")
            if not times:
                # The system assigns memory pages only when they are written.
                frames = np.empty((min(max_frames, _AT_ONCE), *frame.rgb.shape), np.uint8)
            if frame.rgb.shape != frames.shape[1:]:
                raise VideoError("the frame size changes within the clip")
            if len(times) == len(frames):
                frames = np.concatenate([frames, np.empty_like(frames)])[:max_frames]
            frames[len(times)] = frame.rgb
            times.append(frame.pts_seconds)
    except VideoLimitError as error:
        raise VideoLimitError(
            f"not a clip that a producer with these settings makes: {error}; clips have at "
            f"most {max_frames} frames of {max_pixels} pixels "
            "(STORYHASH_VIDEO__MAX_CLIP_PIXELS, STORYHASH_INGEST__SEGMENT_SECONDS)"
        ) from None
    if decoder.damaged:
        raise VideoError(f"clip {decoder.damaged}")
    pts: Float64Array = np.array(times, dtype=np.float64)
    return FrameBatch(frames[: len(times)], pts + start_seconds)


def _check_size(frame: Frame, max_pixels: int) -> None:
    """Check the displayed size: with pixels that are not square, it may be larger than the coded size.
    Raises VideoLimitError."""
    height, width = frame.rgb.shape[:2]
    if height * width > max_pixels:
        raise VideoLimitError(f"frame of {width}x{height}")


def encode_video(
    path: Path, frames: Iterable[UInt8Array], frames_per_second: float, *, crf: int = 20
) -> None:
    """Write a video: H.264 at a fixed rate, in the container of the path's suffix.

    frames: uint8 (H, W, 3) RGB, all of the same even size. crf: libx264's quality; lower is better.
    Raises VideoError without frames.
    """
    rate = Fraction(frames_per_second).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        ticks = iter(range(1 << 62))
        _write(container, frames, ticks, rate, 1 / rate, {"crf": str(crf)})


def _write(
    container: OutputContainer,
    frames: Iterable[UInt8Array],
    ticks: Iterable[int],
    rate: Fraction,
    time_base: Fraction,
    quality: Mapping[str, str],
) -> None:
    stream: VideoStream | None = None
    for rgb, tick in zip(frames, ticks, strict=False):
        if stream is None:
            stream = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = rgb.shape[:2]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = time_base
            # With one thread, the bytes are the same on every machine.
            context.thread_count = 1
            context.options = {"preset": _PRESET, **quality}
            context.colorspace = Colorspace.ITU601
            context.color_range = ColorRange.MPEG
        # OpenCV's conversion, BT.601 in limited range, takes a fifth of swscale's time.
        yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        frame = VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts, frame.time_base = tick, time_base
        container.mux(stream.encode(frame))
    if stream is None:
        raise VideoError("no frames to write")
    container.mux(stream.encode())
