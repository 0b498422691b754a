"""A short run of scripts/fuzz: mutated files end in a conversion or in one of the project's errors."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing import run

QUICK = [("cfg", 60), ("weights", 40), ("h5", 12), ("models", 8)]
LONG = [pytest.param(kind, count, marks=pytest.mark.slow) for kind, count in (("h5", 150), ("models", 60))]


@pytest.mark.parametrize(("kind", "count"), [*QUICK, *LONG])
def test_only_success_or_our_own_errors(tmp_path, kind, count):
    endings, wrong = run(kind, count, 5000, tmp_path)
    assert wrong == []
    assert endings["converted"] > 5 or kind in ("h5", "models")
    assert endings.total() == count
