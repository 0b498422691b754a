"""Safe writing, tested with real files, real links and pipes, real processes that are killed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from convert.errors import OutputError, WriteError
from convert.files import (
    check_output,
    create,
    file_sha256,
    is_special,
    lock_outputs,
    make_folder,
    replacing,
    same_file,
    write_whole,
)

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(r"\.[0-9a-f]{16}\.yolo3-tmp(\.mp4)?")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond this: a full disk, for this process only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_privileges() -> Iterator[None]:
    """Drop privileges, so that permissions apply even if root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


# ------------------------------------------------------------------------------------------------------------- digests


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert file_sha256(path) == file_sha256(str(path)) == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(OSError, match="No such file"):
        file_sha256(tmp_path / "absent")


def test_names_of_the_same_file_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert same_file(path, tmp_path / "folder" / ".." / "file")  # neither exists
    path.touch()
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "twin").hardlink_to(path)
    assert same_file(path, tmp_path / "link")
    assert same_file(path, tmp_path / "twin")
    assert not same_file(path, tmp_path / "other")
    assert not same_file(path, "rtsp://camera/stream")
    assert not same_file(path, "zero\0byte")


# -------------------------------------------------------------------------------------------------------- check_output


def test_new_file_in_new_folders_is_fine(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b" / "out.mp4", overwrite=False)
    assert names(tmp_path) == []
    create(tmp_path / "a" / "b" / "out.mp4")
    assert (tmp_path / "a" / "b" / "out.mp4").exists()


def test_existing_file_needs_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"out\.mp4: exists already; .*--overwrite"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["video.mp4", "sub/../video.mp4", "link", "twin"])
def test_an_input_is_never_the_output(name: str, overwrite: bool, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_text("precious")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "twin").hardlink_to(path)
    inputs = ["rtsp://x/y", path]
    with pytest.raises(OutputError, match="is the input"):
        check_output(tmp_path / name, overwrite=overwrite, inputs=inputs)
    with pytest.raises(OutputError, match="is the input"):
        write_whole(tmp_path / name, b"boxes", inputs=inputs)
    assert path.read_text() == "precious"


def test_an_obstacle_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "out.mp4", "file is not a folder"),
        (tmp_path / "loop", "symbolic link that points to itself"),
        (tmp_path / ("x" * 256), "cannot be written: File name too long"),
        (tmp_path / "zero\0byte", "cannot be written: embedded null byte"),
    ):
        with pytest.raises(OutputError, match=words):
            check_output(path, overwrite=True)
        with pytest.raises(OutputError):
            write_whole(path, b"")
    with pytest.raises(OutputError, match="the folder cannot be made"):
        create(tmp_path / "file" / "out.mp4")
    with pytest.raises(OutputError, match="the folder cannot be made: File exists"):
        make_folder(tmp_path / "file")
    assert names(tmp_path) == ["file", "loop"]


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    tmp_path.chmod(0o755)
    try:
        with without_privileges():
            with pytest.raises(OutputError, match=r"not writable|Permission denied"):
                check_output(folder / "out.mp4", overwrite=False)
            with pytest.raises(OutputError, match="Permission denied"):
                write_whole(folder / "out.mp4", b"")
    finally:
        folder.chmod(0o700)


# ----------------------------------------------------------------------------------------------------------- replacing


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.mp4"
    with replacing(path) as private:
        assert PRIVATE.fullmatch(private.name)
        assert private.suffix == ".mp4"
        assert private.parent == path.parent
        private.write_bytes(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert names(path.parent) == ["out.mp4"]


@pytest.mark.parametrize("error", [KeyError("a bug"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"the old one"])
def test_a_failed_block_changes_nothing(error: BaseException, before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(type(error)), replacing(path) as private:
        private.write_bytes(b"half")
        raise error
    assert names(tmp_path) == ["out.mp4"] * (before is not None)
    assert before is None or path.read_bytes() == before


def test_an_error_of_writing_names_the_output(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(WriteError, match=r"out\.mp4: could not be written: No space left"), replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with largest_file(10), pytest.raises(WriteError, match="File too large"):
        write_whole(path, b"x" * 100)
    with pytest.raises(WriteError, match="No such file"), replacing(path) as private:
        private.unlink()
    assert names(tmp_path) == []
    assert WriteError.exit_code == 1


def test_too_many_open_files_are_not_blamed_on_the_path(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as last:  # noqa: PTH123
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), hard))
        try:
            with pytest.raises(WriteError, match="Too many open files"):
                write_whole(tmp_path / "out", b"")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    write_whole(tmp_path / "out", b"")


def test_the_data_are_on_disk_before_the_name_and_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    flushed: list[tuple[str, bool]] = []

    def sync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        flushed.append(("folder" if stat.S_ISDIR(found.st_mode) else f"{found.st_size} bytes", path.exists()))

    with replacing(path, sync=sync) as private:
        private.write_bytes(b"12345")
    assert flushed == [("5 bytes", False), ("folder", True)]


@pytest.mark.parametrize(
    ("number", "fails"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False), (errno.ENOTSUP, False)]
)
def test_unflushed_data_is_not_renamed(number: int, fails: bool, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def sync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    if fails:
        with pytest.raises(WriteError, match=os.strerror(number)), replacing(path, sync=sync) as private:
            private.write_bytes(b"new")
    else:  # a file system that cannot flush
        with replacing(path, sync=sync) as private:
            private.write_bytes(b"new")
    assert path.read_bytes() == (b"old" if fails else b"new")
    assert names(tmp_path) == ["out"]


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, there = tmp_path / "link.mp4", tmp_path / "disk" / "real.mp4"
    link.symlink_to(there)
    for data in (b"first", b"second"):  # at first the link leads to nothing
        with replacing(link) as private:
            assert private.parent == there.parent
            private.write_bytes(data)
        assert link.is_symlink()
        assert there.read_bytes() == data
    assert names(tmp_path) == ["disk", "link.mp4"]
    assert names(tmp_path / "disk") == ["real.mp4"]


def test_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"private")
    path.chmod(0o640)
    with replacing(path) as private:
        assert stat.S_IMODE(private.stat().st_mode) == 0o600  # never readable by more than the old one
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "name",
    ["x" * 255, "ö" * 127, "x" * 251 + ".mp4", "a." + "b" * 253, "猫 und Hund.mp4", b"caf\xe9.mp4", "a\nb\x1b[0m.mp4"],
    ids=["255 bytes", "254 bytes of UTF-8", "suffix", "long suffix", "Unicode", "not UTF-8", "control characters"],
)
def test_unusual_names_are_written(name: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    check_output(path, overwrite=False)
    with lock_outputs(path), replacing(path) as private:
        private.write_bytes(b"data")
    assert [os.fsencode(file.name) for file in tmp_path.iterdir()] == [os.fsencode(name)]
    assert path.read_bytes() == b"data"


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"), replacing(tmp_path / ("x" * 256)):
        pytest.fail("the block ran")


def test_a_library_with_its_own_locks_can_write(tmp_path: Path) -> None:
    with replacing(tmp_path / "model.h5") as private, h5py.File(private, "w") as file:
        file["a"] = 1
    with h5py.File(tmp_path / "model.h5") as file:
        assert file["a"][()] == 1


# --------------------------------------------------------------------------------------------------- devices and pipes


def test_devices_are_written_through() -> None:
    for overwrite in (False, True):
        check_output(Path("/dev/null"), overwrite=overwrite, inputs=["/dev/null"])
    write_whole(Path("/dev/null"), b"gone")
    assert is_special(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    with lock_outputs(Path("/dev/null")), lock_outputs(Path("/dev/null")):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full plays the full disk")
def test_a_full_device_is_an_error_and_stays_a_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    for path in (Path("/dev/full"), tmp_path / "link"):
        with pytest.raises(WriteError, match="No space left"):
            write_whole(path, b"x")
    assert Path("/dev/full").is_char_device()


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    check_output(path, overwrite=False)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_whole(path, b"a,b\n")
    reader.join(10)
    assert read == [b"a,b\n"]
    assert path.is_fifo()
    assert names(tmp_path) == ["pipe.csv"]


def test_standard_output_may_be_a_pipe(tmp_path: Path) -> None:
    code = "from pathlib import Path; from convert.files import write_whole; write_whole(Path('/dev/stdout'), b'boxes')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert (done.stdout, done.stderr) == (b"boxes", b"")
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"boxes"


# ------------------------------------------------------------------------------------------------- what a kill leaves

WRITER = """
import sys
from pathlib import Path
from convert.files import lock_outputs, replacing
path = Path(sys.argv[1])
with lock_outputs(path), replacing(path) as private:
    private.write_bytes(b"half")
    print(private, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that is writing to the path, and its private file."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().rstrip("\n"))
        finally:
            process.kill()


def test_leftovers_of_a_killed_run_are_removed_and_files_of_a_running_one_kept(tmp_path: Path) -> None:
    mine = tmp_path / ".mine.yolo3-tmp.mp4"
    mine.write_text("a user's file with a name that is nearly one of ours")
    with another_run(tmp_path / "a.mp4") as (killed, left), another_run(tmp_path / "b.mp4") as (_, running):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.read_bytes() == running.read_bytes() == b"half"
        assert names(tmp_path) == sorted([mine.name, left.name, running.name])
        write_whole(tmp_path / "a.mp4", b"whole")
        assert names(tmp_path) == sorted([mine.name, "a.mp4", running.name])
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"


def test_a_link_with_the_name_of_a_leftover_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".0123456789abcdef.yolo3-tmp.mp4").symlink_to(precious)
    write_whole(tmp_path / "out" / "a.mp4", b"")
    assert precious.read_text() == "mine"


# --------------------------------------------------------------------------------------------------------------- locks


def test_two_runs_cannot_write_to_one_output(tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    with another_run(tmp_path / "a.mp4") as (process, _):
        for name in ("a.mp4", "link.mp4", "x/../a.mp4"):
            with (
                pytest.raises(OutputError, match=r"a\.mp4: another run is writing|link\.mp4: another"),
                lock_outputs(tmp_path / name),
            ):
                pytest.fail("the block ran")
        with lock_outputs(tmp_path / "b.mp4"):
            pass
        process.kill()
        process.wait()
        with lock_outputs(tmp_path / "a.mp4"):
            pass


def test_no_private_files_or_locks_are_left(tmp_path: Path) -> None:
    out, locks = tmp_path / "out", tmp_path / "locks"
    out.mkdir()
    with lock_outputs(out / "a", out / "b", out / "a", folder=locks):
        assert len(names(locks)) == 2
        assert names(out) == []
    assert names(locks) == []


def test_a_failure_releases_the_locks(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_outputs(tmp_path / "a"):
        raise KeyError
    with (
        lock_outputs(tmp_path / "b"),
        pytest.raises(OutputError, match="b: another run"),
        lock_outputs(tmp_path / "a", tmp_path / "b"),
    ):
        pytest.fail("the block ran")
    with lock_outputs(tmp_path / "a"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_a_file_system_without_locks_is_not_a_lock_held_by_another_run(number: int, tmp_path: Path) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    ran = []
    with lock_outputs(tmp_path / "a", flock=flock), lock_outputs(tmp_path / "a", flock=flock):
        ran.append(True)
    assert ran


def test_a_run_continues_without_a_place_for_locks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "absent" / "folder"):
        with lock_outputs(tmp_path / "a", folder=place):
            pass


def test_a_folder_of_locks_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    elsewhere, locks = tmp_path / "elsewhere", tmp_path / "locks"
    elsewhere.mkdir()
    locks.symlink_to(elsewhere)
    with lock_outputs(tmp_path / "a", folder=locks):
        assert names(elsewhere) == []
