"""`python -m convert CFG WEIGHTS OUT.h5 [--names FILE] [--resize letterbox|stretch] [--verify]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from convert.conversion import convert
from convert.errors import Yolo3Error
from convert.layers.layer import BATCH_NORMS
from convert.model_file import RESIZE_MODES
from convert.text import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one network; return 0 (success), 1 (the work failed), 2 (wrong input) or 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m convert", description="Convert a Darknet network to Keras.")
    parser.add_argument("cfg", help="the network's Darknet .cfg")
    parser.add_argument("weights", help="its Darknet .weights")
    parser.add_argument("model", help="the Keras .h5 to write")
    parser.add_argument("--names", help="class names, one per line")
    parser.add_argument("--resize", choices=RESIZE_MODES, help="how training fitted images to the network")
    parser.add_argument(
        "--batch-norm", choices=BATCH_NORMS, default=BATCH_NORMS[0], help="whose batch normalisation formula to use"
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help=(
            "compare it with plain NumPy, layer by layer; without this option only small networks are checked, in one"
            " line"
        ),
    )
    options = parser.parse_args(arguments)
    try:
        conversion = convert(
            options.cfg,
            options.weights,
            options.model,
            names=options.names,
            resize=options.resize,
            batch_norm=options.batch_norm,
            verify=options.verify,
            on_note=lambda note: print(note, file=sys.stderr),
        )
    except Yolo3Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(printable(conversion))
    return 0


if __name__ == "__main__":
    sys.exit(main())
