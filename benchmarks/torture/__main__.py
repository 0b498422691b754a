"""Attack yolo3 and count how it ends: `scripts/torture [--minutes N] [--seed S]`.

With `--write` the counts go to docs/reliability.md; a whole campaign takes about two hours on two cores. A failure
prints the command that shows it again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.torture.campaign import Tallies, run_campaign, run_case
from benchmarks.torture.outcomes import Tally
from benchmarks.torture.page import write_page


def main() -> int:
    """Run as a command; the exit code is 1 if any case failed."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/torture")
    parser.add_argument("--minutes", type=float, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], metavar="ATTACK", help="only these, such as killed")
    parser.add_argument("--case", help="do one case again, as a failure prints it")
    parser.add_argument("--counts", type=Path, help="file of counts to go on from, for a campaign in pieces")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory(prefix="yolo3-torture-") as folder:
        if options.case:
            outcome = run_case(Path(folder), options.case, seed=options.seed)
            print(outcome.bad or outcome.ending)
            return int(bool(outcome.bad))
        earlier = read_counts(options.counts)
        seconds = 60 * options.minutes
        tallies = run_campaign(Path(folder), seconds=seconds, seed=options.seed, only=options.only, earlier=earlier)
    tallies = {**earlier, **tallies}
    if options.counts:
        options.counts.write_text(json.dumps([[*key, tally.as_json()] for key, tally in tallies.items()]))
    for (attack, kind), tally in tallies.items():
        endings = ", ".join(f"{name} {count}" for name, count in tally.endings.most_common())
        print(f"{attack}, {kind}: {tally.done} of {tally.asked}: {endings}; slowest {tally.slowest:.1f} s")
    if options.write:
        write_page(tallies, seed=options.seed)
    return int(any(tally.bad for tally in tallies.values()))


def read_counts(path: Path | None) -> Tallies:
    """The counts of earlier pieces of a campaign."""
    if path is None or not path.exists():
        return {}
    return {(attack, kind): Tally.from_json(fields) for attack, kind, fields in json.loads(path.read_text())}


if __name__ == "__main__":
    sys.exit(main())
