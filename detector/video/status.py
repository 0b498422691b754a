"""How a run ended."""

from __future__ import annotations

from enum import Enum, StrEnum

from detector.errors import StreamError


class Stopped(Exception):  # noqa: N818 - not an error
    """The user ended the run at a frame of their choosing, for instance by closing the window."""


class RunStatus(StrEnum):
    """How a run ended: the `status` of the frame log's last line."""

    COMPLETE = "complete"
    """The source came to its end."""

    STOPPED = "stopped"
    """The user closed the window."""

    INTERRUPTED = "interrupted"
    """Ctrl-C, or a request to terminate."""

    TRUNCATED = "truncated"
    """The source broke off or was damaged; the frames that could be read are there."""

    FAILED = "failed"
    """An error; the last frames may be missing."""

    @classmethod
    def of(cls, error: BaseException | None) -> RunStatus:
        """The status that an exception stands for, or None."""
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
    """How long outputs of an earlier run stay while `--overwrite` makes new ones."""

    NO = "no"
    """There are none, or this run continues them."""

    UNTIL_END = "until the end"
    """Until the new ones end, as a live source does by Ctrl-C."""

    UNTIL_COMPLETE = "until complete"
    """Until the new ones hold the whole source; a run that is interrupted leaves both."""

    def keeps(self, status: RunStatus) -> bool:
        """Whether the earlier outputs stay after a run that ended so."""
        if self is KeepEarlier.NO:
            return False
        return not status.keeps_output or (self is KeepEarlier.UNTIL_COMPLETE and status is RunStatus.INTERRUPTED)
