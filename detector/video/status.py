"""Define how a run ended."""

from __future__ import annotations

from enum import Enum, StrEnum

from detector.errors import StreamError


class Stopped(Exception):  # noqa: N818 - not an error
    """The user ended the run at a chosen frame, for instance by closing the window."""


class RunStatus(StrEnum):
    """The reason a run ended: the `status` in the last line of the frame log."""

    COMPLETE = "complete"
    """The source reached its end."""

    STOPPED = "stopped"
    """The user closed the window."""

    INTERRUPTED = "interrupted"
    """Ctrl-C, or a request to terminate."""

    TRUNCATED = "truncated"
    """The source broke off or was damaged; the readable frames are in the output."""

    FAILED = "failed"
    """An error; the last frames may be missing."""

    @classmethod
    def of(cls, error: BaseException | None) -> RunStatus:
        """Return the status that an exception stands for, or None."""
        if error is None:
            return cls.COMPLETE
        if isinstance(error, Stopped):
            return cls.STOPPED
        if isinstance(error, KeyboardInterrupt):
            return cls.INTERRUPTED
        if isinstance(error, StreamError):
            return cls.TRUNCATED
        return cls.FAILED

    @property
    def keeps_output(self) -> bool:
        """Whether outputs are finished under their final names."""
        return self is not RunStatus.FAILED


class KeepEarlier(Enum):
    """When outputs of an earlier run give way to new ones made with `--overwrite`."""

    NO = "no"
    """There are no earlier outputs, or this run continues them."""

    UNTIL_END = "until the end"
    """They give way when the new ones end, as a live source does on Ctrl-C."""

    UNTIL_COMPLETE = "until complete"
    """They give way when the new ones contain the whole source; an interrupted run leaves both."""

    def keeps(self, status: RunStatus) -> bool:
        """Return whether the earlier outputs stay after a run with this ending."""
        if self is KeepEarlier.NO:
            return False
        return not status.keeps_output or (self is KeepEarlier.UNTIL_COMPLETE and status is RunStatus.INTERRUPTED)
