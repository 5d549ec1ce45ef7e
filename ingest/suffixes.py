"""File types by suffix."""

from __future__ import annotations


def _suffixes(*names: str) -> frozenset[str]:
    return frozenset(f".{name}" for text in names for name in text.split())


# Accepted without reading the file.
VIDEO_SUFFIXES = _suffixes(
    "264 265 3g2 3gp 3gp2 3gpp amv asf av1 avc avi bik dav dif divx dv dvr-ms f4v flv gif gxf h261 h263",
    "h264 h265 hevc ismv ivf m1v m2p m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mov mp2v mp4 mp4v mpe mpeg",
    "mpg mpg4 mpv mqv mxf nsv nut obu ogm ogv qt rm rmvb roq smk tod tp trp vc1 vob vro webm wmv wtv",
    "xvid y4m",
)
# Transport streams, and TypeScript: taken unless the file is text.
TEXT_OR_VIDEO_SUFFIXES = _suffixes("ts mts")
# Suffixes of unfinished downloads: `film.mp4.part`, `film.part.mp4`, or an `aria2` file beside it.
PARTIAL_SUFFIXES = _suffixes(
    "!qb !ut aria2 crdownload download filepart opdownload part partial temp tmp ytdl"
)
# Common files that are not opened, because they are not videos.
OTHER_SUFFIXES = _suffixes(
    # text, data and code
    "txt md rst log nfo csv tsv json jsonl ndjson xml yaml yml toml ini cfg conf html htm css js mjs jsx",
    "tsx py pyc ipynb c h cc cpp hpp java go rs rb php sh bat ps1 sql db sqlite parquet npy npz pkl pt",
    "safetensors onnx pdf doc docx xls xlsx ppt pptx odt ods odp rtf epub url lnk desktop torrent",
    # subtitles, chapters and playlists
    "srt ass ssa vtt sub idx sup smi sbv lrc m3u m3u8 pls cue edl",
    # pictures that are no frames
    "bmp tif tiff webp heic heif avif psd raw cr2 cr3 nef arw dng svg ico tbn exr",
    # sound
    "mp3 m4a m4b aac ac3 dts flac wav oga opus wma aif aiff alac ape mid midi mka",
    # archives, images of discs, programs
    "zip rar 7z gz bz2 xz zst tar tgz iso img dmg exe dll so dylib apk jar par2 sfv md5 sha1 sha256",
    "bup ifo",
)
# Folders that file systems, network stores and trash cans keep among the user's own.
SYSTEM_FOLDERS = frozenset(
    {
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"),
        *("System Volume Information", "lost+found"),
    }
)
