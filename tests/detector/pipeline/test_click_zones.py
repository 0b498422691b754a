"""Zones clicked onto a frame: what is clicked and pressed is scripted."""

import pytest

from detector.errors import OutputError, SettingsError
from detector.pipeline.click_zones import Sketch, click_zones
from detector.tracking.zone_file import read_zones

ENTER, UNDO, ESC = 13, 8, 27


class Screen:
    """Clicks and keys in turn; whoever asks for more than there is has closed the window."""

    def __init__(self, *steps):
        self.steps, self.shown = list(steps), []

    def show(self, picture):
        self.shown.append(picture)
        step = self.steps.pop(0) if self.steps else ESC
        return (step, []) if isinstance(step, int) else (-1, [step])


@pytest.fixture
def source(clips, tmp_path):
    return str(clips.make(tmp_path / "in.mp4", range(5)))


SQUARE = ((56, 40), (168, 40), (168, 120), (56, 120))


def test_what_is_clicked_is_a_file_of_zones(source, tmp_path):
    screen = Screen(*SQUARE, ENTER, (0, 80), (224, 80), ord("l"), ord("s"))

    assert click_zones(source, tmp_path / "new.toml", screen=screen) == 2

    zones = read_zones(tmp_path / "new.toml")
    assert zones.names == ("zone 1", "line 2")
    assert zones.zones[0].polygon == ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    assert (zones.lines[0].start, zones.lines[0].end) == ((0, 0.5), (1, 0.5))
    assert (screen.shown[-1] != screen.shown[0]).any()


def test_undo_takes_back_points_then_places(source, tmp_path):
    screen = Screen(*SQUARE, (1, 1), UNDO, ENTER, (5, 5), UNDO, UNDO, (10, 140), ENTER, ord("s"))

    assert click_zones(source, tmp_path / "new.toml", screen=screen) == 1
    assert len(read_zones(tmp_path / "new.toml").zones[0].polygon) == 5


@pytest.mark.parametrize("steps", [(), (*SQUARE, ENTER, ESC), (ord("s"), ESC), (*SQUARE, ENTER, ord("q"))])
def test_leaving_writes_nothing(source, tmp_path, steps):
    assert click_zones(source, tmp_path / "new.toml", screen=Screen(*steps)) == 0
    assert not (tmp_path / "new.toml").exists()


def test_what_is_no_zone_or_line():
    sketch = Sketch(100, 100)
    assert sketch.finish("zone") == "a zone has at least three points"
    for x, y in ((0, 0), (50, 50), (50, 0), (0, 50)):
        sketch.click(x, y)
    assert sketch.finish("line") == "a line has two points"
    assert sketch.finish("zone") == "the outline crosses itself"
    sketch.points = []
    for x, y in ((0, 0), (10, 10), (20, 20)):
        sketch.click(x, y)
    assert sketch.finish("zone") == "a zone has at least three points"
    sketch.click(500, -3)
    assert sketch.points[-1] == (100, 0)


def test_without_a_display(source, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SettingsError, match="there is no display to open a window on; write the file by hand"):
        click_zones(source, tmp_path / "new.toml")


def test_an_existing_file_stays(source, tmp_path):
    (tmp_path / "mine.toml").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        click_zones(source, tmp_path / "mine.toml", screen=Screen())
    with pytest.raises(SettingsError, match=r"written as \.toml"):
        click_zones(source, tmp_path / "new.png", screen=Screen())
    assert (tmp_path / "mine.toml").read_text() == "mine"
