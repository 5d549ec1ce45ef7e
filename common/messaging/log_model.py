"""The model of a log's vectors, which the first writer decides."""

from __future__ import annotations

from common.errors import ModelMismatchError, WireError
from common.messaging.events import LogModel
from common.messaging.transport import Publisher, Transport
from common.messaging.wire import Envelope, from_message, to_message
from common.types import Embedding


def log_model(transport: Transport, log_topic: str) -> str | None:
    """The model of a log's vectors; None if it has none. Raises BrokerError."""
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
    """Set the model of a log, or check that it is already this one. The first entry of the log decides,
    so if two start at once, one is rejected. Raises ModelMismatchError, BrokerError."""
    log_model_id = log_model(transport, log_topic)
    if log_model_id is None:
        publisher.publish(to_message(log_topic, Envelope(LogModel(model_id))))
        publisher.flush()
        log_model_id = log_model(transport, log_topic)
    if log_model_id != model_id:
        raise ModelMismatchError(
            f"{log_topic} has vectors of {log_model_id}, not of {model_id}; use the profile of "
            "that model, or another generation (STORYHASH_KAFKA__GENERATION)"
        )
