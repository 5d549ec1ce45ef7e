"""Every error that StoryHash raises, with its code and exit code.

The command line turns `exit_code` into the exit status of the process: 1 something failed, 2 the caller
made a mistake, 3 a dependency is unavailable. A message is one line and says what to do next.
"""


class StoryHashError(Exception):
    """Base class: an operation failed."""

    code = "failed"
    exit_code = 1


class UsageError(StoryHashError):
    """The caller made a mistake: a wrong path, flag, setting or value."""

    code = "usage"
    exit_code = 2


class ReusedKeyError(UsageError):
    """An Idempotency-Key came with another request than the first time. Use a new one."""

    code = "idempotency_key_reused"


class TooManyJobsError(UsageError):
    """A queue of jobs is full. Wait for a job to end, or cancel one."""

    code = "too_many_jobs"


class QuotaExceededError(UsageError):
    """The key has used its quota of the day. Wait for the next day, or ask for a larger quota."""

    code = "quota_exceeded"


class UploadsFullError(StoryHashError):
    """The uploaded videos of the catalogue use all the disk space for them. Delete videos, or raise the
    limit."""

    code = "uploads_full"


class WebhookSignatureError(UsageError):
    """A webhook message does not come from the service, or it is old. Answer 400 and ignore it."""

    code = "webhook_signature"


class SettingsError(UsageError):
    """A setting is unknown or has an invalid value."""

    code = "settings"


class VideoError(StoryHashError):
    """One video cannot be used; other videos are not affected. `code` gives the reason."""

    code = "unreadable"


class NoVideoStreamError(VideoError):
    """The file has no video stream, for example audio only."""

    code = "no_video_stream"


class NoFramesError(VideoError):
    """The file has a video stream, but no frame of it can be decoded."""

    code = "no_frames"


class VideoLimitError(VideoError):
    """The video is larger or longer than the settings allow."""

    code = "over_limit"


class VideoTimeoutError(VideoError):
    """Decoding took longer than the settings allow and was stopped."""

    code = "timeout"


class DecoderCrashedError(VideoError):
    """The process that decoded the video crashed."""

    code = "decoder_crashed"


class SetAsideError(VideoError):
    """The service crashed three times while it processed this video, so the video is not retried
    automatically."""

    code = "crashed"


class FetchError(VideoError):
    """A remote video could not be downloaded, or its address is not allowed."""

    code = "fetch"


class UnknownVideoError(UsageError):
    """The catalogue has no video with this id; `storyhash videos list` shows all ids."""

    code = "unknown_video"


class DataFolderError(UsageError):
    """The data folder is missing, in use by another process, or not a StoryHash data folder."""

    code = "data_folder"


class ModelMismatchError(UsageError):
    """An index, mirror or query is of another model than the current one."""

    code = "model_mismatch"


class CorruptIndexError(StoryHashError):
    """Stored index data is damaged, and there is no older copy to load. Restore a backup."""

    code = "corrupt_index"


class CancelledError(StoryHashError):
    """The caller disconnected before the work was done."""

    code = "cancelled"


class DependencyError(StoryHashError):
    """A dependency is missing: a server, a package, model weights or disk space."""

    code = "dependency"
    exit_code = 3


class WeightsMissingError(DependencyError):
    """Model weights are not installed; the message says how to get them and which profile needs none."""

    code = "weights_missing"


class WeightsDamagedError(DependencyError):
    """Model weights are incomplete or damaged; download them again."""

    code = "weights_damaged"


class WrongModelError(UsageError):
    """A setting names a model of the wrong kind."""

    code = "wrong_model"


class DeviceError(UsageError):
    """A setting names a device that this machine does not have."""

    code = "device"


class DeviceMemoryError(DependencyError):
    """A network does not fit into the device's memory, even with a batch of one frame."""

    code = "device_memory"


class HubError(DependencyError):
    """The Hugging Face Hub cannot be reached, or it does not have the requested file."""

    code = "hub"


class StorageError(DependencyError):
    """Writing to disk failed: the disk is full, read-only or broken. Acknowledged data is kept."""

    code = "storage"


class BrokerError(DependencyError):
    """Kafka cannot be reached or rejects the request; unacknowledged messages are sent again later."""

    code = "broker"


class TopicMissingError(BrokerError):
    """A topic is missing or has a wrong configuration; `storyhash topics create` corrects it."""

    code = "topic"


class MessageTooLargeError(StoryHashError):
    """A message is larger than the broker accepts."""

    code = "message_too_large"


class WireError(StoryHashError):
    """A message is not a StoryHash message, or it is damaged."""

    code = "wire"


class SchemaVersionError(WireError):
    """A message has a newer schema than this version supports; update the service, then replay the
    message."""

    code = "schema_version"


class FutureVersionError(WireError):
    """A message has a version later than its own timestamp: the sender's clock is wrong. Correct the
    clock and send the video again."""

    code = "version_from_future"


class EmbedderUnavailableError(DependencyError):
    """No embedder with the index's model responds, so a query cannot be embedded."""

    code = "embedder"


class BackupRunningError(DependencyError):
    """The service is making a backup already; `storyhash snapshot list` shows when it is complete."""

    code = "backup_running"


class StateError(DependencyError):
    """The state database (keys and audit log) cannot be opened or does not respond."""

    code = "state"


class ServiceError(DependencyError):
    """The StoryHash server does not respond."""

    code = "service"


class NotReadyError(DependencyError):
    """The service is not ready; `/readyz` says what it waits for."""

    code = "not_ready"
