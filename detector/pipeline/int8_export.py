"""Write an int8 network for OpenVINO to use elsewhere, the same one that `--precision int8` runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from convert.files import check_output, replacing
from convert.opened_model import OpenedModel
from detector.detector import Detector
from detector.engines.opening import ignore_note
from detector.errors import EngineError, OutputError
from detector.precision.calibration import Sources
from detector.precision.choosing import Choice, Unsuitable
from detector.settings import Settings


def export_int8(
    model: Path | str,
    out: Path | str,
    *,
    calibrate: Sources | None,
    overwrite: bool = False,
    on_note: Callable[[str], object] = ignore_note,
) -> list[Path]:
    """Write a model's network as OUT.xml and OUT.bin with 8-bit weights and sums; return the two.

    `calibrate` names at least eight pictures or a video. How well the boxes on them agree with those of floats goes to
    `on_note`. Raise `OutputError`, `ModelFileError`, `EngineError`, `PictureError` or `WriteError`.
    """
    model, out = Path(model), Path(out)
    if out.suffix != ".xml":
        raise OutputError(f"{out}: expected a name that ends in .xml; OpenVINO writes the weights beside it, in .bin")
    outputs = [out.with_suffix(".bin"), out]  # the .xml needs the .bin, so it is renamed last
    for path in outputs:
        check_output(path, overwrite=overwrite, inputs=[model])
    if calibrate is None:
        raise EngineError("int8 for openvino needs pictures to calibrate on; name a folder or a video with --calibrate")
    if isinstance(calibrate, str | os.PathLike) and not Path(calibrate).exists():
        raise EngineError(f"{os.fspath(calibrate)}: no such file or folder; expected pictures or a video")
    opened = OpenedModel.read(model)
    if not opened.description.heads:
        raise EngineError(f"{model}: is a classifier; only detectors are written in int8 for openvino")
    settings = Settings(engine="openvino", precision="int8", calibrate=calibrate)
    try:
        why, network = Choice(opened, settings, partial(Detector, opened.description), on_note=on_note).int8()
    except Unsuitable as reason:
        raise EngineError(f"{model}: no int8 network was written: {reason}") from None
    on_note(why)
    with ExitStack() as files:
        weights, xml = (files.enter_context(replacing(path, inputs=[model])) for path in outputs)
        xml.write_bytes(network.xml)
        network.weights.tofile(weights)
    return outputs
