"""Download published weights and check them: the command behind scripts/download_weights.

    python -m convert.download yolov3 [--to DIR]

A download is written to NAME.yolo3-part in the same folder and renamed once its size and SHA-256 are correct. An
interrupted download is resumed.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from convert.errors import DownloadError, OutputError, WorkError, Yolo3Error
from convert.files import rename_whole
from convert.http_transfer import Cut, Refused, Spoilt, Unreachable, receive, words
from convert.published import NETWORKS, Networks, PublishedFile
from convert.text import printable

CHECKOUT = Path(__file__).resolve().parent.parent
PART = ".yolo3-part"
DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def fetch(
    file: PublishedFile,
    folder: Path,
    *,
    timeout_seconds: float = 30.0,
    pauses_seconds: Sequence[float] = (1.0, 2.0, 4.0),
) -> Path:
    """Download a file into the folder and return its path; an existing correct file is kept.

    `timeout_seconds` is the longest wait for data from a server; `pauses_seconds` are the waits before each further
    attempt at an address whose connection was lost. Raise `DownloadError` with what happened at each address,
    `OutputError` for a path that cannot be written to or holds something else, `WorkError` for a full disk.
    """
    target, part = folder / file.name, folder / f"{file.name}{PART}"
    if _is_there(file, target):
        _say(f"{target}: already there, with the right {file.algorithm}")
        return target
    outcomes = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for address in file.addresses:
            _say(f"{file.name} from {address}")
            try:
                _bring(file, address, part, timeout_seconds, pauses_seconds)
            except Refused as refusal:
                _say(f"  {printable(refusal)}")
                outcomes.append(f"  {address}: {refusal}")
            else:
                rename_whole(part, target)
                return target
        here = _size(part)
    except OSError as error:
        # Network errors raise `Setback`, so this error comes from the disk.
        message = f"{error.filename or part}: cannot be written: {words(error)}"
        if error.errno in DISK_FAILURES:
            raise WorkError(
                f"{message}; free some space and run this again; the download resumes where it stopped"
            ) from error
        raise OutputError(message) from error
    if here:
        outcomes.append(f"{here:,} of {file.size_bytes:,} bytes are here; run this again to resume from there.")
    by_hand = f"You can also put the file there yourself: {target}, {file.fingerprint}"
    raise DownloadError(f"{file.name} could not be fetched:", *outcomes, by_hand)


def _is_there(file: PublishedFile, target: Path) -> bool:
    try:
        if not target.exists() and not target.is_symlink():
            return False
        found = file.fingerprint_of(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be read: {words(error)}; choose another folder") from error
    if found != file.fingerprint:
        raise OutputError(
            f"{target}: is not the published file; found {found}, expected {file.fingerprint}; move it away and run "
            "this again"
        )
    return True


def _bring(
    file: PublishedFile, address: str, part: Path, timeout_seconds: float, pauses_seconds: Sequence[float]
) -> None:
    """Complete and check the partial file from one address; raise `Refused` if that is not possible."""
    before = _size(part)
    for pause in (*pauses_seconds, None):
        begun = kept = _size(part)
        try:
            if begun < file.size_bytes:
                kept = receive(file, address, part, begun, timeout_seconds)
            found = file.digest_of(part)
            if found == file.digest:
                return
            raise Spoilt(f"wrong content: {file.algorithm} {found}, expected {file.digest}")
        except Spoilt as error:
            part.unlink(missing_ok=True)
            # Bytes from an earlier attempt may be wrong. If all of them came from here, this address has the wrong
            # file.
            if not kept:
                raise Refused(str(error)) from error
            outcome = f"{error}; starting over"
        except Cut as error:
            # Do not retry an unreachable server while other addresses remain.
            if isinstance(error, Unreachable) and begun == before:
                raise Refused(str(error)) from error
            outcome = str(error)
        if pause is not None:
            _say(f"  {printable(outcome)}; trying again in {pause:g} s")
            time.sleep(pause)
    raise Refused(f"{outcome}; gave up after {len(pauses_seconds) + 1} attempts")


def next_command(network: str, paths: Sequence[Path]) -> str:
    """Return the command that converts the files."""
    cfg = next((path for path in paths if path.suffix == ".cfg"), CHECKOUT / "configs" / f"{network}.cfg")
    weights = next(path for path in paths if path.suffix == ".weights")
    return shlex.join(["yolo3", "convert", *map(_shown, (cfg, weights, weights.with_suffix(".h5")))])


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def main(arguments: Sequence[str] | None = None, *, networks: Networks = NETWORKS) -> int:
    """Run the command and return its exit code: 0 success, 1 failed, 2 wrong input, 130 interrupted."""
    in_checkout = (CHECKOUT / "configs").is_dir()
    parser = argparse.ArgumentParser(
        prog="download_weights", description="Download and check published Darknet weights."
    )
    parser.add_argument("network", choices=list(networks))
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        default=CHECKOUT / "model_data" if in_checkout else Path("model_data"),
        help="the folder for the files (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        paths = [fetch(file, options.to) for file in networks[options.network]]
    except Yolo3Error as error:
        _say(f"download_weights: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("download_weights: interrupted; run this again to resume the download")
        return 130
    print(*map(_shown, paths), sep="\n")
    print(f"next: {next_command(options.network, paths)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
