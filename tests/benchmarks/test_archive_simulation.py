"""The simulation of an archive agrees with what can be computed without it."""

import re

import pytest

from benchmarks import archive_simulation
from benchmarks.archive_simulation import Archive, Costs, Troubles, run_all, simulate, tables, unit_seconds

NO_TROUBLES = Troubles(slow_part=0, failures_per_hour=0)
FREE = Costs(start_seconds=0, unit_seconds=0, listing_seconds=0, entries_per_second=1e18, storage_bytes_per_second=1e18)
SMALL = Archive(hours=100, longest_hours=2)


def test_units_hold_all_of_the_archive_and_are_near_the_length_asked_for():
    whole, inputs = unit_seconds(Archive(hours=100, segment_minutes=None), 1)
    cut, same = unit_seconds(Archive(hours=100), 1)
    assert cut.sum() == pytest.approx(whole.sum()) and inputs == same == len(whole)
    assert max(cut) < 1.5 * 600 and len(cut) > len(whole)


def test_one_worker_takes_as_long_as_all_units_together():
    outcome = simulate(1, SMALL, costs=FREE, troubles=NO_TROUBLES)
    assert outcome.seconds == pytest.approx(outcome.video_hours * 3600 * SMALL.frame_rate / FREE.frames_per_second)
    assert outcome.efficiency == pytest.approx(1)


def test_no_number_of_workers_is_faster_than_its_share_or_than_the_longest_unit():
    whole = simulate(1, SMALL, costs=FREE, troubles=NO_TROUBLES).seconds
    longest = max(unit_seconds(SMALL, 1)[0]) * SMALL.frame_rate / FREE.frames_per_second
    for shards in (1, 10, None):
        outcome = simulate(20, SMALL, costs=FREE, troubles=NO_TROUBLES, shards_per_worker=shards)
        assert max(whole / 20, longest) <= outcome.seconds < whole
    assert outcome.seconds < whole / 20 + longest  # the bound of a list scheduler (Graham, 1969)


def test_a_storage_that_is_too_slow_decides():
    slow = Costs(storage_bytes_per_second=1e6)
    outcome = simulate(50, SMALL, costs=slow, troubles=NO_TROUBLES, shards_per_worker=None)
    asked = (slow.read_bytes_per_hour + slow.written_bytes_per_hour) * outcome.video_hours / 1e6
    assert outcome.seconds == pytest.approx(asked, rel=0.05) and outcome.limited_by == "storage"


def test_crashes_and_slow_workers_cost_time():
    base = simulate(10, SMALL, troubles=NO_TROUBLES)
    assert simulate(10, SMALL, troubles=Troubles(slow_part=0.5)).seconds > 1.2 * base.seconds
    crashed = simulate(10, SMALL, troubles=Troubles(slow_part=0, failures_per_hour=20))
    assert crashed.failures > 0 and crashed.seconds > base.seconds


def test_the_report(monkeypatch, tmp_path):
    monkeypatch.setattr(archive_simulation, "WORKERS", (1, 10))
    monkeypatch.setattr(archive_simulation, "SEGMENT_MINUTES", (None, 10.0))
    monkeypatch.setattr(archive_simulation, "FAILURE_RATES", (0.0, 1.0))
    for name in ("SEGMENT_RUN", "FAILURE_RUN"):
        monkeypatch.setattr(archive_simulation, name, (10, SMALL))
    figures = run_all(SMALL, Costs())
    text = tables(SMALL, Costs(), figures)
    assert len(re.findall(r"^\| \S", text, re.MULTILINE)) >= 6 + 3
    archive_simulation.plot(tmp_path / "plot.png", figures, Costs())
    assert (tmp_path / "plot.png").stat().st_size > 10_000
