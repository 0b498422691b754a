"""Write an index page with thumbnails, and a table, for a folder of clips."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from convert.files import write_whole
from detector.pipeline.moments import Moment

PAGE = "index.html"
TABLE = "clips.csv"

COLUMNS = ("clip", "start", "end", "seconds", "first_frame", "last_frame", "frames", "objects", "tracks")

_OURS = re.compile(rf"clip_\d{{4,}}\.(mp4|jpg)|{re.escape(PAGE)}|{re.escape(TABLE)}")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em }}
ul {{ display: grid; gap: 1em; grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)) }}
ul {{ list-style: none; padding: 0 }}
img {{ background: #ddd; display: block; height: auto; width: 100% }}
a {{ color: inherit; text-decoration: none }}
span {{ color: #666 }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary} <a href="{table}"><u>{table}</u></a></p>
<ul>
{items}</ul>
</body>
</html>
"""
_ITEM = """<li><a href="{file}"><img src="{thumbnail}" alt="" loading="lazy">
<b>{start}</b> {objects}<br><span>{seconds:.1f} s, {file}</span></a></li>
"""


@dataclass(frozen=True)
class Clip:
    """One clip of a folder."""

    number: int
    moment: Moment
    start: float
    """Start in seconds, as a player of the whole video shows it."""
    seconds: float
    """Duration in seconds."""

    @property
    def file(self) -> str:
        """Its name."""
        return f"clip_{self.number:04d}.mp4"

    @property
    def thumbnail(self) -> str:
        """The file name of its thumbnail."""
        return f"clip_{self.number:04d}.jpg"

    @property
    def objects(self) -> str:
        """What it shows, such as `2 car, 1 person`."""
        return ", ".join(f"{count} {name}" for name, count in self.moment.objects.most_common())


def is_of_clips(name: str) -> bool:
    """Return whether a file of this name belongs to a folder of clips."""
    return _OURS.fullmatch(name) is not None


def write_index(folder: Path, clips: Sequence[Clip], *, source: str, when: str) -> None:
    """Write the page and the table of the clips in a folder."""
    write_whole(folder / TABLE, _table(clips).encode("utf-8", "backslashreplace"))
    write_whole(folder / PAGE, _page(clips, source, when).encode("utf-8", "xmlcharrefreplace"))


def _table(clips: Sequence[Clip]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for clip in clips:
        moment = clip.moment
        tracks = " ".join(str(number) for number in sorted({number for _, number in moment.tracks}))
        times = (f"{time:.3f}" for time in (clip.start, clip.start + clip.seconds, clip.seconds))
        rows.writerow([clip.file, *times, moment.first, moment.last, moment.frames, clip.objects, tracks])
    return text.getvalue()


def _page(clips: Sequence[Clip], source: str, when: str) -> str:
    total = sum(clip.seconds for clip in clips)
    many = "1 clip" if len(clips) == 1 else f"{len(clips)} clips"
    items = "".join(
        _ITEM.format(
            file=quote(clip.file),
            thumbnail=quote(clip.thumbnail),
            start=_clock(clip.start),
            objects=html.escape(clip.objects),
            seconds=clip.seconds,
        )
        for clip in clips
    )
    title = html.escape(f"{when} – {Path(source).name}")
    return _PAGE.format(title=title, summary=f"{many}, {total:.1f} s in all.", table=TABLE, items=items)


def _clock(seconds: float) -> str:
    minutes, tenths = divmod(max(0, round(seconds * 10)), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
