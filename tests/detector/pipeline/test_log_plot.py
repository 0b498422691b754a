"""A log as a picture."""

import numpy as np
import pytest
from PIL import Image

from detector.errors import LogError, OutputError, SettingsError, ZonesError
from detector.pipeline.log_plot import PlotOptions, _Bins, _Paths, summarize_with_tracks
from tests.detector.pipeline.test_track_log import box, no_bar, write_log

pytest.importorskip("matplotlib")

ZONES = """[[line]]
name = "middle"
from = [0.25, 1]
to = [0.25, 0]
[[zone]]
name = "right"
polygon = [[0.25, 0], [1, 0], [1, 1], [0.25, 1]]
"""


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones.toml"
    path.write_text(ZONES)
    return path


def tracked(tmp_path, count=60):
    """A car that crosses x = 320 in frame 21, and is gone for the last second and a half."""
    return write_log(tmp_path / "log.jsonl", [[box(n, 200.0, track=7)] if n < count else [] for n in range(100)])


def size_of(path):
    with Image.open(path) as picture:
        assert np.asarray(picture).std() > 10
        return picture.size


def test_a_log_with_tracks_and_zones(tmp_path, zones):
    options = PlotOptions(tmp_path / "out.png", zones)
    summary, counted = summarize_with_tracks(tracked(tmp_path), options, bar=no_bar)

    assert (summary.frames, summary.boxes) == (100, 60)
    assert counted.lines["middle"].entered == {"car": 1}
    assert counted.zones["right"].exits == {"car": 1}
    width, height = size_of(tmp_path / "out.png")
    assert height > 0.8 * width  # three rows of two


def test_a_log_without_tracks_has_counts_and_a_heat_map(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [[box(n)] for n in range(30)])
    _, counted = summarize_with_tracks(log, PlotOptions(tmp_path / "out.png"), bar=no_bar)

    assert counted is None
    width, height = size_of(tmp_path / "out.png")
    assert height < 0.4 * width


@pytest.mark.parametrize("suffix", ["jpg", "svg", "pdf"])
def test_other_formats(tmp_path, suffix):
    summarize_with_tracks(tracked(tmp_path), PlotOptions(tmp_path / f"out.{suffix}"), bar=no_bar)
    assert (tmp_path / f"out.{suffix}").stat().st_size > 5000


def test_an_empty_log(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [])
    summarize_with_tracks(log, PlotOptions(tmp_path / "out.png"), bar=no_bar)
    size_of(tmp_path / "out.png")


def test_the_video_is_the_background(tmp_path, clips):
    source = clips.make(tmp_path / "in.mp4", range(3))
    log = tracked(tmp_path)
    with pytest.raises(SettingsError, match="is 224x160; the log is of a video of 1280x720"):
        summarize_with_tracks(log, PlotOptions(tmp_path / "out.png", video=str(source)), bar=no_bar)
    assert not (tmp_path / "out.png").exists()
    log.write_text(log.read_text().replace('"width": 1280, "height": 720', '"width": 224, "height": 160'))
    summarize_with_tracks(log, PlotOptions(tmp_path / "out.png", video=str(source)), bar=no_bar)
    assert size_of(tmp_path / "out.png")


def test_what_is_refused(tmp_path, zones):
    log = tracked(tmp_path)
    with pytest.raises(OutputError, match=r"use one of \.png"):
        summarize_with_tracks(log, PlotOptions(tmp_path / "out.txt"), bar=no_bar)
    (tmp_path / "out.png").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        summarize_with_tracks(log, PlotOptions(tmp_path / "out.png"), bar=no_bar)
    assert (tmp_path / "out.png").read_text() == "mine"
    untracked = write_log(tmp_path / "plain.jsonl", [[box(0)]])
    with pytest.raises(LogError, match="has no tracks"):
        summarize_with_tracks(untracked, PlotOptions(tmp_path / "new.png", zones), bar=no_bar)
    zones.write_text(ZONES + 'classes = ["dog"]\n')
    with pytest.raises(ZonesError, match="'dog'"):
        summarize_with_tracks(log, PlotOptions(tmp_path / "new.png", zones), bar=no_bar)
    assert not (tmp_path / "new.png").exists()


def test_bins_hold_any_length():
    bins = _Bins(1)
    for second in range(100_000):
        bins.add(5.0 + second, np.array([1 + (second >= 50_000)]))
    begins, means = bins.means()

    assert len(begins) == means.shape[1] <= 400
    assert begins[0] == 5.0
    assert begins[-1] <= 100_005
    assert sum(mean not in (1.0, 2.0) for mean in means[0]) <= 1
    assert means[0][0] == 1
    assert means[0][-1] == 2


def test_of_many_paths_a_part_is_kept():
    paths = _Paths(5.0)
    for track in range(10_000):
        for x in (0.0, 1.0, 10.0):
            paths.add(track, "car", x, 0.0)
    assert 1000 <= len(paths.points) <= 2000
    assert all(way == [(0.0, 0.0), (10.0, 0.0)] for way in paths.points.values())
