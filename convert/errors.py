"""Define the errors of converting a network and reading its file.

    Yolo3Error
    ├── InputError            the input or the command was wrong       (exit code 2)
    │   ├── CfgError          a .cfg that cannot be understood
    │   ├── WeightsError      a .weights file that does not fit its .cfg
    │   ├── NamesError        class names that do not fit the network
    │   ├── ModelFileError    an .h5 that is not one of ours, or is damaged
    │   └── OutputError       an output path that cannot be written to
    └── WorkError             the work itself failed                   (exit code 1)
        ├── WriteError        a file could not be written to its end (full disk)
        ├── DownloadError     weights could not be fetched
        └── VerificationError a converted network that does not compute what Darknet does

Each message names the file and the line or byte offset, what was found, what was expected, and what to do.
`detector.errors` continues this tree. To handle all of them, catch `Yolo3Error`:

    try:
        convert("yolov3.cfg", "yolov3.weights", "yolov3.h5")
    except Yolo3Error as error:
        print(error)
"""

from convert.text import printable, without_credentials


class Yolo3Error(Exception):
    """The root: every error this project raises on purpose.

    Each argument is a line of the message. User names and passwords are removed from addresses in it. Control
    characters, which file names and server responses may contain, are shown as escapes, so that a message cannot
    control the terminal or fake additional lines.
    """

    exit_code = 1

    def __init__(self, *lines: object) -> None:
        super().__init__(*(without_credentials(str(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(map(printable, self.args))


class InputError(Yolo3Error):
    """The input or the command was wrong; running it again will not help."""

    exit_code = 2


class CfgError(InputError):
    """A .cfg file cannot be read or understood."""


class WeightsError(InputError):
    """A .weights file is invalid or does not fit the network."""


class NamesError(InputError):
    """The class names cannot be read or do not fit the network."""


class ModelFileError(InputError):
    """An .h5 file is missing, damaged, unsafe, or not made by this project."""


class OutputError(InputError):
    """An output path cannot be written to."""


class WorkError(Yolo3Error):
    """The command was correct but the work failed: a full disk, a lost connection."""


class WriteError(WorkError):
    """An output could not be written completely."""


class DownloadError(WorkError):
    """A file could not be fetched from any of its addresses."""


class VerificationError(WorkError):
    """A converted network does not compute what Darknet computes."""
