"""What a failed call to a Qdrant server means, and what an operator can do."""

from __future__ import annotations

import json
from contextlib import suppress

from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

FAILURES = (
    ResponseHandlingException,
    UnexpectedResponse,
    QdrantException,
    # An answer that is no JSON: something else listens there.
    json.JSONDecodeError,
)
_OPEN_STATUSES, _NOT_FOUND = (408, 429), 404
# Characters of an error of the server that ours repeats: strict mode explains itself.
_LONGEST_REASON = 240


def leaves_open(error: Exception, *, several: bool) -> bool:
    """Whether it is unknown if the call was done, or whether it may succeed later or at another node.
    several: there are other nodes."""
    if isinstance(error, UnexpectedResponse):
        status = error.status_code
        # A node that joins, or that was away, learns of a collection after the others.
        late = status == _NOT_FOUND and several
        return status is None or status >= 500 or status in _OPEN_STATUSES or late
    return True


def explain(where: str, error: Exception) -> str:
    """One line for the operator. where: the address of the node."""
    reason = _reason(error)
    if isinstance(error, ResourceExhaustedResponse):
        return f"Qdrant at {where} limits requests ({reason}); raise its limits, or try again later"
    if isinstance(error, UnexpectedResponse):
        if error.status_code == 401:
            return f"Qdrant at {where} refuses the key: set STORYHASH_QDRANT__API_KEY"
        if error.status_code == 403:
            return (
                f"Qdrant at {where} denies access ({reason}): set STORYHASH_QDRANT__API_KEY to a key "
                "with this permission"
            )
        answered = f"Qdrant at {where} answered {error.status_code}: {reason}"
        if error.status_code == _NOT_FOUND:
            return (
                f"{answered}; restore the collection from a snapshot of Qdrant, or index into another "
                "STORYHASH_QDRANT__COLLECTION"
            )
        return answered
    if "CERTIFICATE" in reason:
        return (
            f"Qdrant at {where} has no trusted certificate ({reason}): set SSL_CERT_FILE to the file of "
            "its authority"
        )
    return (
        f"Qdrant at {where} does not respond ({reason}); start it, or set STORYHASH_QDRANT__URL to its "
        "addresses, with https:// if it uses TLS"
    )


def _reason(error: Exception) -> str:
    """What the server says, else what the client does."""
    said = str(error)
    if isinstance(error, UnexpectedResponse):
        with suppress(ValueError, KeyError, TypeError):
            said = str(json.loads(error.content)["status"]["error"])
    return " ".join(said.split())[:_LONGEST_REASON]
