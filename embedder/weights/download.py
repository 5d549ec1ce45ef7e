"""Downloads a model into the hub's cache, with progress. Fails at once if the hub cannot be reached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from common.errors import HubError, UsageError, WeightsDamagedError
from embedder.weights.download_lines import plain_progress
from embedder.weights.hub import (
    PULLED_FILES,
    WEIGHT_FILES,
    HubModel,
    find_weights,
    hub_package,
    is_path,
)
from embedder.weights.pinned import git_blob, is_commit, note_pull, published_checksum, sha256

# Time limit of the first request: the hub's own retries would take half a minute.
_PROBE_SECONDS = 5.0
_SHA256_DIGITS = 64


def pull_model(
    model: HubModel,
    reference: str,
    *,
    revision: str | None = None,
    force: bool = False,
    print_line: Callable[[str], None] | None = None,
) -> Path:
    """Download configuration, preprocessing and weights of `reference`. Returns the path of the weights.

    revision: a commit of the hub (default: the newest). All files are compared with the checksums of the
    hub, and the checksums are written into a file beside them, with the commit. Files in the cache are
    not downloaded again, and an interrupted download is resumed, unless `force`.

    print_line: shows progress as plain lines (default: the progress bars of the hub).

    Raises HubError if the hub cannot be reached or does not have the model, WeightsDamagedError if a
    checksum is wrong, UsageError if `reference` is a folder.
    """
    if is_path(reference):
        raise UsageError(
            f"{model.variable}={reference} is a folder, so there is nothing to download; "
            f"unset it to download {model.default}"
        )
    hub = hub_package()
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"HF_HUB_OFFLINE is set: unset it, or set {model.variable} to a folder")
    published = _published(reference, model, constants.ENDPOINT, revision)
    names, commit = published.files, published.commit
    weights = next((name for name in WEIGHT_FILES if name in names), None)
    if weights is None:
        raise HubError(
            f"{reference} has none of {', '.join(WEIGHT_FILES)}; set {model.variable} to another model"
        )
    needed = [name for name in PULLED_FILES if name in names] + [weights]
    try:
        folder = Path(
            hub.snapshot_download(
                reference,
                revision=revision,
                allow_patterns=needed,
                force_download=force,
                tqdm_class=plain_progress(print_line) if print_line else None,
            )
        )
    except (errors.HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise HubError(
            f"downloading {reference} failed ({str(error).splitlines()[0][:120]}); the "
            "same command resumes it"
        ) from None
    if folder.name != commit:
        raise HubError(
            f"{reference} changed during the download ({commit}, then {folder.name}); "
            "download it again"
        )
    _check(folder, {name: names[name] for name in needed}, model)
    note_pull(folder, reference, commit, needed)
    return find_weights(model, reference, revision).file


@dataclass(frozen=True, slots=True)
class _Published:
    """A commit, and the checksum of each of its files: SHA-256, git's checksum, or nothing."""

    commit: str
    files: Mapping[str, str]


def _check(folder: Path, files: Mapping[str, str], model: HubModel) -> None:
    for name, expected in files.items():
        file = folder / name
        # The cache names a file by its published checksum.
        for expected_checksum in filter(None, (expected, published_checksum(file))):
            checksum = sha256(file) if len(expected_checksum) == _SHA256_DIGITS else git_blob(file)
            if checksum != expected_checksum:
                raise WeightsDamagedError(
                    f"{file}: its checksum is {checksum}, the hub says {expected_checksum}; download it "
                    f"again with: storyhash models pull {model.name} --force"
                )


def _published(reference: str, model: HubModel, endpoint: str, revision: str | None) -> _Published:
    """The hub's files of a model. Also finds out whether the hub can be reached."""
    address = f"{endpoint}/api/models/{reference}" + (f"/revision/{revision}" if revision else "")
    answer: dict[str, Any] = {}

    def ask() -> None:
        try:
            answer["response"] = httpx.get(
                address,
                params={"blobs": "true"},
                timeout=_PROBE_SECONDS,
                follow_redirects=True,
                headers=_authorization(),
            )
        except (httpx.HTTPError, OSError, ValueError) as error:
            answer["error"] = error

    # A name look-up has no timeout, so the request runs in a thread.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PROBE_SECONDS)
    response = answer.get("response")
    if response is None:
        reason = str(answer.get("error") or f"no response in {_PROBE_SECONDS} s")
        raise HubError(
            f"the hub at {endpoint} cannot be reached ({reason}); on a machine that can, run "
            f"storyhash models pull {model.name} and copy the folder here, then set {model.variable} "
            f"to it; or use {model.instead}"
        )
    if response.status_code != 200:
        raise HubError(
            f"the hub at {endpoint} responds with {response.status_code} for {reference}; "
            f"check {model.variable}, or set HF_TOKEN if the model requires one"
        )
    try:
        description = response.json()
        commit = str(description["sha"])
        files = {
            str(file["rfilename"]): _checksum(file) for file in description.get("siblings", [])
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubError(
            f"the hub at {endpoint} sent an unexpected response for {reference}"
        ) from None
    if not is_commit(commit) or revision not in (None, commit):
        raise HubError(f"the hub at {endpoint} has no such commit of {reference}: {commit[:60]!r}")
    return _Published(commit, files)


def _checksum(file: Mapping[str, Any]) -> str:
    checksum = (file.get("lfs") or {}).get("sha256") or file.get("blobId") or ""
    return str(checksum)


def _authorization() -> dict[str, str]:
    token = hub_package().get_token()
    return {"authorization": f"Bearer {token}"} if token else {}
