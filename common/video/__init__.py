"""Reads and writes videos. Only this package imports PyAV.

`probe` reads the header. `decode` and `decode_images` give upright frames, sampled by time. `encode_clip`
and `decode_clip` write and read the small clips that hold segments. `encode_video` writes a video file.
"""

from common.video.clip import decode_clip, encode_clip, encode_video
from common.video.container import VideoInfo
from common.video.decode import Decoder, Frame
from common.video.image_sequence import decode_images
from common.video.probing import probe
from common.video.sizes import one_size

__all__ = [
    "Decoder",
    "Frame",
    "VideoInfo",
    "decode_clip",
    "decode_images",
    "encode_clip",
    "encode_video",
    "one_size",
    "probe",
]
