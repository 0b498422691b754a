"""What was checked is not decoded again until it changes; a damaged or missing cache only costs time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from detector.datasets.check_cache import CheckCache
from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError

HOUR_AGO_NS = time.time_ns() - 3600 * 10**9


def age(path):
    os.utime(path, ns=(HOUR_AGO_NS, HOUR_AGO_NS))


@pytest.fixture
def data(folder, monkeypatch):
    """A dataset whose picture has not changed for an hour, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "ein Cache ü"))
    age(folder / "images" / "a.png")
    return folder / "d.data"


def damage_unseen(path):
    """Change a picture, but neither its size nor its time: only a picture that is decoded shows it."""
    path.write_bytes(b"x" * path.stat().st_size)
    age(path)


def test_a_picture_is_decoded_once(data):
    before = read_dataset(data)
    damage_unseen(data.parent / "images" / "a.png")

    after = read_dataset(data)

    assert before.train[0].size == after.train[0].size == (40, 30)


@pytest.mark.parametrize("change", ["another size in bytes", "another time", "touched just now"])
def test_a_changed_picture_is_decoded_again(data, change):
    picture = data.parent / "images" / "a.png"
    if change == "touched just now":
        os.utime(picture)
    read_dataset(data)
    stat = picture.stat()
    picture.write_bytes(b"x" * (stat.st_size + (change == "another size in bytes")))
    other = 10**9 if change == "another time" else 0
    os.utime(picture, ns=(stat.st_mtime_ns + other, stat.st_mtime_ns + other))

    with pytest.raises(DatasetError, match="does not open"):
        read_dataset(data)


def test_what_does_not_open_is_never_remembered(data):
    damage_unseen(data.parent / "images" / "a.png")

    for _ in range(2):
        with pytest.raises(DatasetError, match="does not open"):
            read_dataset(data)


def test_labels_of_another_size_are_noticed_without_decoding(coco, monkeypatch):
    path, _ = coco
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "cache"))
    age(path.parent / "images" / "a.png")
    read_dataset(path)
    path.write_text(path.read_text().replace('"width": 40', '"width": 44'))

    with pytest.raises(DatasetError, match="is 40x30 as displayed; its labels are for 44x30"):
        read_dataset(path)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:], id="a bit"),
        pytest.param(lambda content: b"\x89PNG" + content, id="something else"),
    ],
)
def test_a_damaged_cache_is_made_anew(data, spoil):
    read_dataset(data)
    (cache,) = data.parent.rglob("*.checked")
    content = cache.read_bytes()
    cache.write_bytes(spoil(content))

    read_dataset(data)

    assert cache.read_bytes() == content


def test_without_a_place_for_the_cache_datasets_are_read_all_the_same(data, monkeypatch):
    (data.parent / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(data.parent / "taken"))

    assert len(read_dataset(data).train) == 1


def test_caches_unused_for_three_months_are_removed(data):
    read_dataset(data)
    (cache,) = data.parent.rglob("*.checked")
    old = cache.with_name("0" * 32 + ".checked")
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    cache.unlink()

    read_dataset(data)

    assert cache.exists()
    assert not old.exists()


def test_two_processes_may_check_one_dataset(data):
    for number in range(200):
        picture = data.parent / "images" / f"{number}.png"
        Image.new("RGB", (8, 8)).save(picture)
        age(picture)
    names = [f"images/{number}.png\n" for number in range(200)]
    (data.parent / "train.txt").write_text("images/a.png\n" + "".join(names))
    script = "import sys; from detector.datasets.dataset import read_dataset; read_dataset(sys.argv[1])"
    command = [sys.executable, "-c", script, str(data)]

    runs = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(3)]

    assert [run.wait() for run in runs] == [0, 0, 0]
    known = CheckCache(data)
    picture = data.parent / "images" / "a.png"
    assert known.size(str(picture), (picture.stat().st_size, HOUR_AGO_NS)) == (40, 30)
