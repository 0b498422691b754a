"""A short run of scripts/fuzz: mutated files end in a conversion or in an error of the project's own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing import run


@pytest.mark.parametrize(("kind", "count"), [("cfg", 60), ("weights", 40), ("h5", 150), ("models", 60)])
def test_nothing_but_success_and_our_own_errors(tmp_path, kind, count):
    endings, wrong = run(kind, count, 5000, tmp_path)
    assert wrong == []
    assert endings["converted"] > 5 or kind in ("h5", "models")
    assert endings.total() == count
