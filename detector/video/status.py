"""How a run ended."""

from __future__ import annotations

from enum import StrEnum

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
