"""Write docs/darknet.md: every network of the family compared with Darknet's own C code.

    python tests/convert/darknet_table.py [--out docs/darknet.md] [FAMILY_FOLDER]

The folder holds pairs NAME.cfg and NAME.npz; each network gets seeded random weights, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from family import as_darknet, difference, make_weights, reference_input, reference_outputs

from convert.conversion import convert
from convert.export import export_weights
from convert.model_file import read_description

ROOT = Path(__file__).parents[2]

TEXT = """# Accuracy on the Darknet family

Written by `scripts/darknet_table`; do not edit by hand. Each network has random weights of the size its cfg needs,
scaled to keep activations near 1. The reference is Darknet's C code on a CPU: AlexeyAB's for `alexeyab__` and
`hank-ai__`, pjreddie's for `pjreddie__`. The difference is the largest of any value of any head (after Darknet's own
sigmoid or softmax), relative to the range of the output, for the `.h5` as Keras loads it from the file.

pjreddie's CPU code normalises batches with another formula than all GPU code, which trained the published weights. The
last column has that formula folded in (`--batch-norm pjreddie`).

Converted back from `.h5` to `.weights`, {same} of {count} are identical after the header.

| network | floats | input | difference | `--batch-norm pjreddie` |
| --- | ---: | --- | ---: | ---: |
"""


def measure(shared: Path, cfg: Path, folder: Path, batch_norm: str) -> tuple[float, str, int, bool]:
    """The difference, the input's size, the count of floats, and whether the bytes come back."""
    import keras

    reference = dict(np.load(cfg.with_suffix(".npz")))
    weights = make_weights(shared, cfg, folder / "net.weights")
    conversion = convert(cfg, weights, folder / "net.h5", batch_norm=batch_norm, verify=False)
    heads = read_description(conversion.model).heads
    model = keras.models.load_model(conversion.model, compile=False)
    outputs = model.predict_on_batch(reference_input(reference))
    outputs = outputs if isinstance(outputs, list) else [outputs]
    expected = reference_outputs(reference)
    pjreddie = cfg.name.startswith("pjreddie__")
    pairs = zip(outputs, heads or (None,), strict=True)
    worst = max(
        difference(
            as_darknet(output[0], head, pjreddie=pjreddie), expected[head.layer if head else next(iter(expected))]
        )
        for output, head in pairs
    )
    back = folder / "back.weights"
    export_weights(conversion.model, folder / "back.cfg", back)
    same = back.read_bytes()[20:] == weights.read_bytes()[20:]
    for path in (folder / "back.cfg", back, conversion.model):
        path.unlink()
    _, height, width = reference["input_shape_chw"]
    keras.backend.clear_session()
    gc.collect()
    return worst, f"{width}x{height}", conversion.floats_read, same


def main() -> int:
    """Run as a command; the exit code is 1 when a network is further off than it may be."""
    shared = Path(os.environ.get("YOLO3_SHARED") or ROOT.parent / "shared")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="?", type=Path, default=shared / "reference" / "family")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "darknet.md")
    options = parser.parse_args()
    rows, same, failed = [], 0, 0
    cfgs = sorted(options.family.glob("*.cfg"))
    for cfg in cfgs:
        with tempfile.TemporaryDirectory() as folder:
            plain, size, floats, back = measure(shared, cfg, Path(folder), "alexeyab")
            own = ""
            if cfg.name.startswith("pjreddie__"):
                exact, _, _, back_too = measure(shared, cfg, Path(folder), "pjreddie")
                own, back = f"{exact:.1e}", back and back_too
                failed += exact > 2e-4 or plain > 5e-3
            else:
                failed += plain > 2e-4
        same += back
        rows.append(f"| {cfg.stem} | {floats:,} | {size} | {plain:.1e} | {own} |")
        print(rows[-1], flush=True)
    options.out.write_text(TEXT.format(same=same, count=len(cfgs)) + "\n".join(rows) + "\n", "utf-8")
    return 1 if failed or same < len(cfgs) else 0


if __name__ == "__main__":
    sys.exit(main())
