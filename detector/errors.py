"""Define the errors of detecting objects; continues the tree of `convert.errors`.

Yolo3Error
├── InputError            the input or the command was wrong       (exit code 2)
│   ├── …                 those of convert.errors
│   ├── EngineError       an engine that is not installed, or a network that it cannot run
│   ├── SettingsError     a setting out of range, an unknown class name
│   ├── PictureError      a picture that cannot be opened
│   ├── VideoError        a video that cannot be opened or holds no frames
│   ├── CameraError       a camera that does not open
│   ├── LogError          a frame log that cannot be read, or is of another video
│   ├── ArchiveError      the folder of an archive's results that cannot be continued
│   ├── ZonesError        zones or a condition that cannot be understood
│   └── DatasetError      labelled pictures with mistakes in them, all listed
└── WorkError             the work itself failed                   (exit code 1)
    ├── …                 those of convert.errors
    ├── StreamError       a video or camera broke off in the middle
    └── TrainingError     a training came to nothing, as when its loss is no number
"""

from convert.errors import InputError, ModelFileError, OutputError, WorkError, WriteError, Yolo3Error

__all__ = [
    "ArchiveError",
    "CameraError",
    "DatasetError",
    "EngineError",
    "InputError",
    "LogError",
    "ModelFileError",
    "OutputError",
    "PictureError",
    "SettingsError",
    "StreamError",
    "TrainingError",
    "VideoError",
    "WorkError",
    "WriteError",
    "Yolo3Error",
    "ZonesError",
]


class EngineError(InputError):
    """An engine is not installed or cannot run this network."""


class SettingsError(InputError):
    """A setting is out of its range or names something unknown."""


class PictureError(InputError):
    """An image cannot be opened: missing, truncated, not an image, or dangerously large."""


class VideoError(InputError):
    """A video cannot be opened or contains no frames."""


class CameraError(InputError):
    """A camera does not open."""


class LogError(InputError):
    """A frame log cannot be opened or parsed, or is not of this video."""


class DatasetError(InputError):
    """Labelled images cannot be trained on; the message has a line for each mistake."""


class ArchiveError(InputError):
    """The results of an archive in a folder are of another run, or its manifest is damaged."""


class ZonesError(InputError):
    """A file of zones, or a condition, is invalid or does not fit the image or the classes."""


class StreamError(WorkError):
    """A video or camera broke off before its end."""


class TrainingError(WorkError):
    """A training run failed; its last good checkpoint is kept."""
