"""Which model's vectors a log holds: whoever writes to it first decides."""

from __future__ import annotations

from common.errors import ModelMismatchError, WireError
from common.messaging.events import LogModel
from common.messaging.transport import Publisher, Transport
from common.messaging.wire import Envelope, from_message, to_message
from common.types import Embedding


def log_model(transport: Transport, log_topic: str) -> str | None:
    """The model whose vectors a log holds; None while it holds none. Raises BrokerError."""
    for received in transport.scan(log_topic):
        if received.value is None:
            continue
        try:
            event = from_message(received).event
        except WireError:
            continue
        if isinstance(event, (LogModel, Embedding)):
            return event.model_id
    return None


def claim_log_model(
    transport: Transport, publisher: Publisher, log_topic: str, model_id: str
) -> None:
    """Make a log this model's, or find that it is already. What the log tells first decides, so of two
    that begin at once one is refused. Raises ModelMismatchError, BrokerError."""
    held = log_model(transport, log_topic)
    if held is None:
        publisher.publish(to_message(log_topic, Envelope(LogModel(model_id))))
        publisher.flush()
        held = log_model(transport, log_topic)
    if held != model_id:
        raise ModelMismatchError(
            f"{log_topic} has vectors of {held}, not of {model_id}; use the profile of "
            "that model, or another generation (STORYHASH_KAFKA__GENERATION)"
        )
