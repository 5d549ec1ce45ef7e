"""Every error StoryHash raises on purpose, and whose fault each one is.

The command line turns `exit_code` into the process' exit status: 1 something failed, 2 the caller's
mistake, 3 a dependency is down. A message is one line and says what to do next.
"""


class StoryHashError(Exception):
    """Base of the hierarchy: something failed while StoryHash did what it was asked."""

    code = "failed"
    exit_code = 1


class UsageError(StoryHashError):
    """The caller asked for something that cannot be: a wrong path, flag, setting or value."""

    code = "usage"
    exit_code = 2


class SettingsError(UsageError):
    """A setting is unknown or has a value that cannot be used."""

    code = "settings"


class VideoError(StoryHashError):
    """One video cannot be used; the others go on. `code` says why, for machines."""

    code = "unreadable"


class NoVideoStreamError(VideoError):
    """The file opens but holds no picture: audio only, or no stream at all."""

    code = "no_video_stream"


class NoFramesError(VideoError):
    """There is a video stream, but not one frame of it could be decoded."""

    code = "no_frames"


class VideoLimitError(VideoError):
    """The video is larger or longer than the settings allow."""

    code = "over_limit"


class VideoTimeoutError(VideoError):
    """Decoding took longer than the settings allow and was stopped."""

    code = "timeout"


class DecoderCrashedError(VideoError):
    """The child process that decoded the video died."""

    code = "decoder_crashed"


class SetAsideError(VideoError):
    """It was being worked on, alone, when the service crashed a second time; it is not tried again by
    itself."""

    code = "crashed"


class FetchError(VideoError):
    """A remote video could not be fetched, or its address is not allowed."""

    code = "fetch"


class UnknownVideoError(UsageError):
    """No video of that id is in the catalogue; `storyhash videos list` shows those that are."""

    code = "unknown_video"


class DataFolderError(UsageError):
    """The data folder is missing, in use by another process, or not one of ours."""

    code = "data_folder"


class ModelMismatchError(UsageError):
    """An index, mirror or query was made by another model than the one in force."""

    code = "model_mismatch"


class CorruptIndexError(StoryHashError):
    """Stored index data fails its checksum or cannot be read, and nothing older can replace it."""

    code = "corrupt_index"


class CancelledError(StoryHashError):
    """The caller went away before the work was done; nobody waits for the answer."""

    code = "cancelled"


class DependencyError(StoryHashError):
    """Something StoryHash needs is not there: a server, a package, model weights, disk space."""

    code = "dependency"
    exit_code = 3


class WeightsMissingError(DependencyError):
    """Model weights are not installed; the message names how to get them, and what needs none."""

    code = "weights_missing"


class WeightsDamagedError(DependencyError):
    """Model weights are there but not whole; fetch them again."""

    code = "weights_damaged"


class WrongModelError(UsageError):
    """A setting names a model of another kind than the one needed there."""

    code = "wrong_model"


class DeviceError(UsageError):
    """A setting names a device this machine does not have."""

    code = "device"


class DeviceMemoryError(DependencyError):
    """A network does not fit into the device's memory, not even with one picture."""

    code = "device_memory"


class HubError(DependencyError):
    """The model hub cannot be reached, or does not give what was asked for."""

    code = "hub"


class StorageError(DependencyError):
    """The disk refused a write: full, read-only or failing. What was acknowledged is kept."""

    code = "storage"


class BrokerError(DependencyError):
    """Kafka cannot be reached or refuses the work; what was not acknowledged is sent again later."""

    code = "broker"


class TopicMissingError(BrokerError):
    """A topic is not there or not set up as it must be; `storyhash topics create` makes it."""

    code = "topic"


class MessageTooLargeError(StoryHashError):
    """A message is larger than the broker takes."""

    code = "message_too_large"


class WireError(StoryHashError):
    """A message is not one of ours, or is damaged."""

    code = "wire"


class SchemaVersionError(WireError):
    """A message has a newer schema than this version knows; replay it once the service is updated."""

    code = "schema_version"


class FutureVersionError(WireError):
    """A message has a version later than the moment at which it was written to the log: the clock of
    whoever sent it is wrong. Correct it and send the video again."""

    code = "version_from_future"


class EmbedderUnavailableError(DependencyError):
    """No embedder of the index's model answers, so a query cannot be embedded."""

    code = "embedder"


class ServiceError(DependencyError):
    """The StoryHash server asked does not answer."""

    code = "service"


class NotReadyError(DependencyError):
    """The service has nothing to answer with yet; `/readyz` says what it waits for."""

    code = "not_ready"
