"""The exit codes of the command; 0 is success."""

from __future__ import annotations

WORK_FAILED = 1
"""The input was right, and the work itself failed, or was done in part."""

INPUT_WRONG = 2
"""The command or its input was wrong."""

INTERRUPTED = 130
"""Ctrl-C, SIGTERM or SIGHUP; what was written so far is complete."""

OF_STATUS = {"truncated": WORK_FAILED, "failed": WORK_FAILED, "interrupted": INTERRUPTED}
"""By how a run ended (`RunStatus`); the others are 0."""
