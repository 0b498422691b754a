import mmap
import sys
from pathlib import Path

import pytest

from detector.engines.mapped import drop_mapped

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def resident_bytes(path):
    lines = Path("/proc/self/smaps").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.endswith(f" {path}"))
    return next(int(line.split()[1]) << 10 for line in lines[start:] if line.startswith("Rss:"))


@pytest.mark.parametrize(("megabytes", "dropped"), [(20, True), (2, False)])
def test_pages_of_a_large_file_go_and_come_back(tmp_path, megabytes, dropped):
    path = tmp_path / "weights mit ü"
    path.write_bytes(bytes(range(256)) * (megabytes << 12))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        assert resident_bytes(path) == megabytes << 20
        drop_mapped(path)
        assert resident_bytes(path) == (0 if dropped else megabytes << 20)
        assert mapped[77] == 77 and mapped[-1] == 255
