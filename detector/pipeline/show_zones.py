"""Draw zones and lines on a frame of a video, to check their positions."""

from __future__ import annotations

from pathlib import Path

from convert.files import check_output
from detector.drawing.zones import draw_line, draw_zone
from detector.errors import VideoError
from detector.images.planes import Planes
from detector.images.reading import read_picture, write_picture
from detector.tracking.zone_file import read_zones
from detector.tracking.zones import Zones
from detector.video.frames import Picture
from detector.video.reading.opening import open_video
from detector.video.section import Section

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def show_zones(source: str, zones: Path, out: Path, *, at: str = "0", overwrite: bool = False) -> None:
    """Draw the zones of a file onto the frame of `source` at a time, and write the image.

    Raise `ZonesError` for zones that do not fit the image, `VideoError` or `PictureError` for a source that cannot be
    read.
    """
    check_output(out, overwrite=overwrite, inputs=[source, zones])
    read = read_zones(zones)
    picture = frame_at(source, at)
    height, width = picture.shape[:2]
    draw_zones(picture, read.for_picture(width, height))
    write_picture(out, picture)


def frame_at(source: str, time: str) -> Picture:
    """Return a frame of a video at a time, or an image."""
    if source.lower().endswith(_PICTURES):
        return read_picture(source).copy()
    with open_video(source, section=Section.of(time, None)) as video:
        for frame in video:
            return frame.picture.copy()
    raise VideoError(f"{source}: has no frame at {time}")


def draw_zones(picture: Picture | Planes, zones: Zones, labels: dict[str, str] | None = None) -> None:
    """Draw zones and lines, given in pixels, each with its name or the label given for it."""
    shown = labels or {}
    for zone in zones.zones:
        draw_zone(picture, zone.polygon, shown.get(zone.name, zone.name))
    for line in zones.lines:
        draw_line(picture, line.start, line.end, shown.get(line.name, line.name))
