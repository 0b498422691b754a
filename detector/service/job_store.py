"""Video jobs on disk: a folder each, whose name nobody can guess."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from convert.errors import Yolo3Error
from convert.files import write_whole
from detector.errors import OutputError
from detector.tracking.online import TrackerName

LOG, VIDEO, ZONES = "log.jsonl", "video.mp4", "zones.toml"
"""What a job's folder holds beside the upload."""

State = Literal["waiting", "running", "done", "failed"]

_RECORD = "job.json"
_INCOMING = ".incoming-"
_ID = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True)
class JobOptions:
    """What is asked of a video."""

    confidence: float = 0.25
    nms: float = 0.45
    classes: tuple[str, ...] | None = None
    track: TrackerName | None = None


@dataclass
class Job:
    """One uploaded video."""

    id: str
    created: float
    """Seconds since 1970."""
    model: str
    model_file: str
    """The name of the link to the model in the job's folder."""
    upload: str
    """The name of the upload in the folder; the client's own name for it is not kept."""
    container: str
    """FFmpeg's name of the container that it is opened as."""
    max_pixels: int
    width: int
    height: int
    total: int | None
    """Frames."""
    options: JobOptions = field(default_factory=JobOptions)
    state: State = "waiting"
    frames: int = 0
    """How many are done."""
    attempts: int = 0
    ended: float | None = None
    message: str | None = None
    """Why it failed."""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job of a folder. Raises `OutputError` where there is none that can be read."""
        try:
            fields: dict[str, Any] = json.loads((folder / _RECORD).read_text("utf-8"))
            options = fields.pop("options")
            classes = options.get("classes")
            return cls(**fields, options=JobOptions(**{**options, "classes": classes and tuple(classes)}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise OutputError(f"{folder / _RECORD}: is no record of a video job ({error})") from None

    @property
    def ended_well(self) -> bool:
        """Whether there is a result."""
        return self.state == "done"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed")


class Incoming:
    """A folder for an upload; it becomes a job's when everything in it is complete."""

    def __init__(self, folder: Path) -> None:
        self.id = secrets.token_urlsafe(24)
        self._parent = folder
        self.folder = folder / f"{_INCOMING}{self.id}"
        self.folder.mkdir(mode=0o700, parents=True)

    def keep(self, job: Job) -> None:
        """Make it the folder of a job."""
        write_record(self.folder, job)
        self.folder.rename(self._parent / job.id)

    def discard(self) -> None:
        """Remove it; does nothing once it was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


class JobStore:
    """The jobs below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def incoming(self) -> Incoming:
        """A new folder to receive an upload in. Raises `OSError`."""
        return Incoming(self.folder)

    def read(self) -> Iterator[Job]:
        """All jobs, the oldest first; uploads that were never complete are removed."""
        if not self.folder.is_dir():
            return
        jobs = []
        for path in self.folder.iterdir():
            if path.name.startswith(_INCOMING):
                shutil.rmtree(path, ignore_errors=True)
            elif _ID.fullmatch(path.name):
                with suppress(Yolo3Error):
                    job = Job.read(path)
                    if job.id == path.name:
                        jobs.append(job)
        yield from sorted(jobs, key=lambda job: job.created)

    def path(self, job: Job, name: str = "") -> Path:
        """A job's folder, or a file in it."""
        return self.folder / job.id / name if name else self.folder / job.id

    def write(self, job: Job) -> None:
        """Keep the record of a job. Raises `Yolo3Error` where it cannot be written."""
        write_record(self.path(job), job)

    def remove(self, job: Job) -> None:
        """Delete a job with all its files."""
        shutil.rmtree(self.path(job), ignore_errors=True)

    def free_bytes(self) -> int:
        """Room on the disk."""
        folder = next(path for path in (self.folder, *self.folder.absolute().parents) if path.is_dir())
        return shutil.disk_usage(folder).free


def write_record(folder: Path, job: Job) -> None:
    """Write the record of a job into its folder."""
    write_whole(folder / _RECORD, json.dumps(asdict(job), indent=1).encode())


def link_model(folder: Path, model: Path) -> str:
    """Link a model into a job's folder, so that the log names it without its folder; returns the link's name."""
    name = model.name
    (folder / name).symlink_to(model.absolute())
    return name
