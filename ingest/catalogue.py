"""Catalogue entries from paths and URLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import orjson

from common.bank_names import check_bank_name
from common.errors import UsageError
from common.ids import check_chosen_id, check_video_id
from common.printable import printable
from common.types import DEFAULT_BANK, CatalogEntry
from common.uris import is_remote, public_uri
from ingest.exclusion import NOTHING, Exclusion
from ingest.manifest import MANIFEST_SUFFIXES, local_path, read_manifest
from ingest.video_discovery import SkippedFiles, scan_folder

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """An entry, and the path or URL, as given, where it was found. chosen: a user chose its id; it does
    not follow from its place."""

    entry: CatalogEntry
    root: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class RejectedVideo:
    """A video, or a part of a folder, that cannot be used. It does not affect the others."""

    video_id: str
    uri: str
    code: str
    message: str


@dataclass(slots=True)
class Listing:
    """The content of some paths. refused: what cannot be used; passed_over: files that are no video."""

    videos: list[CatalogueItem] = field(default_factory=list)
    refused: list[RejectedVideo] = field(default_factory=list)
    passed_over: SkippedFiles = field(default_factory=SkippedFiles)
    exclusion: Exclusion = NOTHING

    def excludes(self, root: str, uri: str) -> bool:
        """Whether a pattern excludes a path below one of the given folders."""
        folder = root.rstrip("/") + "/"
        return uri.startswith(folder) and self.exclusion.covers(uri[len(folder) :])


def list_catalog(
    arguments: Sequence[str], bank: str = DEFAULT_BANK, exclusion: Exclusion = NOTHING
) -> Listing:
    """Every video of files, folders, manifests and URLs, and what cannot be used.

    The id of a video in a folder is its path relative to that folder; of a single file its name; of a
    URL the URL without query and credentials. Two videos may have one id; `plan_work` and
    `without_taken` handle this. Raises UsageError for mistakes of the caller: an empty or missing path,
    a wrong bank, a folder without videos, an unreadable manifest.
    """
    if not bank:
        raise UsageError(
            "bank: expected a name, got an empty one; leave it out for the default bank"
        )
    check_bank_name(bank)
    listing = Listing(exclusion=exclusion)
    seen: set[tuple[str, str]] = set()
    for argument in arguments:
        for item in _read(argument, bank, listing):
            name = (item.entry.video_id, item.entry.uri)
            if name in seen:
                continue
            seen.add(name)
            public = public_uri(item.entry.uri)
            try:
                check_entry(item.entry, chosen=item.chosen and item.entry.video_id != public)
            except UsageError as error:
                refused = RejectedVideo(item.entry.video_id, public, error.code, str(error))
                listing.refused.append(refused)
            else:
                listing.videos.append(item)
    return listing


def read_catalog(arguments: Sequence[str], bank: str = DEFAULT_BANK) -> list[CatalogueItem]:
    """Like `list_catalog`, for work that needs every video: raises UsageError for the first that cannot
    be used, and for two videos with one id."""
    listing = without_taken(list_catalog(arguments, bank))
    for refused in listing.refused:
        raise UsageError(refused.message)
    return listing.videos


def without_taken(listing: Listing) -> Listing:
    """The listing with only the first video of each id; the others are refused."""
    first: dict[str, CatalogEntry] = {}
    videos: list[CatalogueItem] = []
    refused = list(listing.refused)
    for item in listing.videos:
        other = first.setdefault(item.entry.video_id, item.entry)
        if other is item.entry:
            videos.append(item)
        else:
            refused.append(taken(item.entry, other.uri))
    return Listing(videos, refused, listing.passed_over, listing.exclusion)


def taken(entry: CatalogEntry, other_uri: str) -> RejectedVideo:
    """The refusal of a video whose id another video has."""
    first, second = public_uri(other_uri), public_uri(entry.uri)
    if first == second:
        message = (
            "two addresses differ only in the part after '?', which is not part of an id: "
            f"{printable(first)}; give each a video_id in a manifest"
        )
    else:
        message = (
            f"two videos have the id '{printable(entry.video_id)}': {printable(first)} and "
            f"{printable(second)}; index the folder above both, or give each a video_id of its own in "
            "a manifest"
        )
    return RejectedVideo(entry.video_id, second, "name_taken", message)


def check_argument(argument: str) -> str:
    """The path or URL given to a command; a `file://` URL as its path. Raises UsageError for an empty
    one, which a script passes if its variable is not set: it does not mean the current folder."""
    if not argument.strip():
        raise UsageError(
            f"expected a path or an address, got '{printable(argument)}'; use . for the "
            "current folder"
        )
    if "\0" in argument:
        raise UsageError(f"{printable(argument)}: a path cannot contain a NUL character")
    return local_path(argument)


def _read(argument: str, bank: str, listing: Listing) -> Iterator[CatalogueItem]:
    argument = check_argument(argument)
    if is_remote(argument):
        public = public_uri(argument)
        try:
            name = PurePosixPath(unquote(urlsplit(argument).path)).name
        except ValueError as error:
            raise UsageError(f"{printable(public)}: not a valid address: {error}") from None
        yield CatalogueItem(CatalogEntry(public, argument, bank, title=name), public, chosen=True)
        return
    path = Path(argument)
    root = str(path.absolute())
    text = printable(argument)
    refused = len(listing.refused)
    passed_over = SkippedFiles()
    try:
        if path.is_dir():
            items = _folder(path, bank, listing, passed_over)
        elif path.exists() and not path.is_file():
            raise UsageError(f"{text}: neither a file nor a folder; save the video as a file")
        elif path.suffix.lower() in MANIFEST_SUFFIXES and path.exists():
            entries = read_manifest(path, bank)
            items = [CatalogueItem(entry, root, chosen=True) for entry in entries]
        elif path.exists():
            items = [CatalogueItem(CatalogEntry(path.name, root, bank), root)]
        else:
            raise UsageError(f"{text}: file or folder not found")
    except OSError as error:
        raise UsageError(
            f"{printable(str(error.filename or argument))}: {error.strerror}"
        ) from None
    if not items and len(listing.refused) == refused:
        raise UsageError(f"{text}: no video found{_in_words(passed_over)}")
    yield from items


def _folder(
    folder: Path, bank: str, listing: Listing, passed_over: SkippedFiles
) -> list[CatalogueItem]:
    scan = scan_folder(folder, exclusion=listing.exclusion)
    passed_over.update(scan.passed_over)
    listing.passed_over.update(scan.passed_over)
    for problem in scan.problems:
        name = _relative(problem.path, folder)
        message = f"{printable(problem.path)}: {problem.message}"
        uri = str(Path(problem.path).absolute())
        listing.refused.append(RejectedVideo(name, uri, problem.code, message))
    return [in_folder(video.path, folder, bank) for video in scan.videos]


def _in_words(passed_over: SkippedFiles) -> str:
    most = passed_over.counts.most_common(_SHOWN)
    words = ", ".join(f"{count} {kind} ({reason})" for (kind, reason), count in most)
    return f"; skipped: {printable(words)}" if words else ""


def in_folder(video: str, folder: Path, bank: str = DEFAULT_BANK) -> CatalogueItem:
    """A video of a folder, named by its path relative to it."""
    # A folder of pictures may be given itself; then it is its own name.
    name = _relative(video, folder) or folder.absolute().name
    return CatalogueItem(
        CatalogEntry(name, str(Path(video).absolute()), bank), str(folder.absolute())
    )


def _relative(path: str, folder: Path) -> str:
    # A walk joins names to the folder as it was given, so cutting the text is enough.
    return path[len(str(folder)) :].lstrip("/")


def check_entry(entry: CatalogEntry, *, chosen: bool = False) -> None:
    """Refuse what databases and messages cannot hold: names that are no UTF-8, as file names may be, and
    metadata that JSON has no words for. chosen: a user chose its id. Raises UsageError."""
    (check_chosen_id if chosen else check_video_id)(entry.video_id)
    check_bank_name(entry.bank)
    for text in (entry.uri, entry.title):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"'{printable(text)}' is not UTF-8 text; rename the file") from None
    if "\0" in entry.uri:
        raise UsageError(f"'{printable(entry.uri)}' contains a NUL character; remove it")
    metadata = dict(entry.metadata)
    name = f"'{printable(entry.video_id)}'"
    try:
        readback = orjson.loads(orjson.dumps(metadata))
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{name}: its metadata is not JSON: {error}") from None
    # JSON turns infinity and NaN into null, and NaN equals nothing.
    if readback != metadata:
        raise UsageError(f"{name}: its metadata has a number that is not finite; remove it")
