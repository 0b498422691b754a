import pytest

from detector.errors import StreamError, WriteError
from detector.video.status import RunStatus, Stopped


@pytest.mark.parametrize(
    ("error", "status", "keeps"),
    [
        (None, "complete", True),
        (Stopped(), "stopped", True),
        (KeyboardInterrupt(), "interrupted", True),
        (StreamError("gone"), "truncated", True),
        (WriteError("full"), "failed", False),
        (ZeroDivisionError(), "failed", False),
    ],
)
def test_ending_of_an_exception(error, status, keeps):
    ending = RunStatus.of(error)
    assert ending == status
    assert ending.keeps_output is keeps
