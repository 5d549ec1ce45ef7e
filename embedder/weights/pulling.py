"""Fetching a model of the hub into the hub's own cache, with progress, or failing at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx

from common.errors import HubError, UsageError
from embedder.weights.hub import (
    PULLED_FILES,
    WEIGHT_FILES,
    HubModel,
    find_weights,
    hub_package,
    is_path,
)

# A hub that does not answer in this time is taken to be out of reach: its own retries take half a minute.
_PROBE_SECONDS = 1.2


def pull_model(model: HubModel, reference: str, *, force: bool = False) -> Path:
    """Fetch config, preprocessing and weights of `reference`; returns where the weights lie.

    What is in the cache already is not fetched again, and a download that was cut short goes on, unless
    `force`. Raises HubError where the hub cannot be reached or does not have it, UsageError for a
    folder.
    """
    if is_path(reference):
        raise UsageError(
            f"{model.variable}={reference} names a folder: there is nothing to pull; unset it to "
            f"pull {model.default}"
        )
    hub = hub_package()
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"HF_HUB_OFFLINE is set: unset it, or set {model.variable} to a folder")
    names = _names(reference, model, constants.ENDPOINT)
    weights = next((name for name in WEIGHT_FILES if name in names), None)
    if weights is None:
        raise HubError(
            f"{reference} has none of {', '.join(WEIGHT_FILES)}; set {model.variable} to another model"
        )
    wanted = [name for name in PULLED_FILES if name in names] + [weights]
    try:
        hub.snapshot_download(reference, allow_patterns=wanted, force_download=force)
    except (errors.HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise HubError(
            f"pulling {reference} broke off ({str(error).splitlines()[0][:120]}); the same command goes "
            "on where it stopped"
        ) from None
    return find_weights(model, reference).file


def _names(reference: str, model: HubModel, endpoint: str) -> list[str]:
    """The files a model of the hub consists of; also tells whether the hub can be reached at all."""
    address = f"{endpoint}/api/models/{reference}"
    answer: dict[str, Any] = {}

    def ask() -> None:
        try:
            answer["response"] = httpx.get(
                address, timeout=_PROBE_SECONDS, follow_redirects=True, headers=_authorization()
            )
        except (httpx.HTTPError, OSError, ValueError) as error:
            answer["error"] = error

    # Looking up a name knows no timeout, so the whole question is asked aside.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PROBE_SECONDS)
    response = answer.get("response")
    if response is None:
        why = str(answer.get("error") or f"no answer in {_PROBE_SECONDS} s")
        raise HubError(
            f"the hub at {endpoint} cannot be reached ({why}); on a machine that can, run "
            f"storyhash models pull {model.name} and copy the folder here, then set {model.variable} "
            f"to it; or use {model.instead}"
        )
    if response.status_code != 200:
        raise HubError(
            f"the hub at {endpoint} answers {response.status_code} for {reference}; check "
            f"{model.variable}, or set HF_TOKEN if the model wants one"
        )
    return [one["rfilename"] for one in response.json().get("siblings", [])]


def _authorization() -> dict[str, str]:
    token = hub_package().get_token()
    return {"authorization": f"Bearer {token}"} if token else {}
