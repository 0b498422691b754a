"""The campaign: attacks in turn until all were done or the time is over."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from benchmarks.torture.attacks import Disks, Kills, Mutated, Runs
from benchmarks.torture.bombs import Bombs
from benchmarks.torture.outcomes import Attack, Outcome, Tally
from benchmarks.torture.privacy import Privacy
from benchmarks.torture.stage import set_up
from benchmarks.torture.surroundings import Surroundings, Together

Tallies = dict[tuple[str, str], Tally]


def run_campaign(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    only: Sequence[str] = (),
    earlier: Tallies | None = None,
    on_bad: Callable[[str], object] = print,
) -> Tallies:
    """Attack for so long; every kind of every attack gets on at the same pace. `on_bad` hears of each failure.

    A campaign in pieces goes on after the cases of `earlier`.
    """
    with ExitStack() as stack:
        attacks = _attacks(folder, seed, stack, only)
        tallies: Tallies = {
            (attack.name, kind): (earlier or {}).get((attack.name, kind), Tally(asked))
            for attack in attacks
            for kind, asked in attack.asked.items()
        }
        by_name = {attack.name: attack for attack in attacks}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            left = [key for key, tally in tallies.items() if tally.done < tally.asked]
            if not left:
                break
            name, kind = min(left, key=lambda key: tallies[key].done / tallies[key].asked)
            tally = tallies[name, kind]
            case = f"{name}:{kind}:{tally.done}"
            outcome = by_name[name].run(kind, tally.done)
            tally.add(outcome, case)
            if outcome.bad:
                on_bad(f"{outcome.bad}\n  scripts/torture --seed {seed} --case '{case}'")
    return tallies


def run_case(folder: Path, case: str, *, seed: int) -> Outcome:
    """Do one case again."""
    name, kind, number = case.split(":")
    with ExitStack() as stack:
        (attack,) = _attacks(folder, seed, stack, [name])
        return attack.run(kind, int(number))


def _attacks(folder: Path, seed: int, stack: ExitStack, only: Sequence[str]) -> list[Attack]:
    """The attacks; those that need whole runs share the processes for them."""
    stage = set_up(folder)
    makers: list[tuple[str, Callable[[], Attack]]] = [
        (Mutated.name, lambda: Mutated(stage, seed)),
        (Kills.name, lambda: Kills(runs())),
        (Disks.name, lambda: Disks(runs())),
        (Surroundings.name, lambda: Surroundings(runs())),
        (Together.name, lambda: Together(runs())),
        (Privacy.name, lambda: Privacy(runs())),
        (Bombs.name, lambda: Bombs(stage)),
    ]

    @cache
    def runs() -> Runs:
        made = Runs(stage, seed, _interposer(folder))
        stack.callback(made.close)
        return made

    attacks = [make() for name, make in makers if not only or name in only]
    for attack in attacks:
        stack.callback(attack.close)
    return attacks


def _interposer(folder: Path) -> Path | None:
    """The compiled `full_disk.c`; None without a C compiler, or where libraries are not preloaded."""
    compiler = shutil.which("cc")
    library = folder / "full_disk.so"
    if compiler is None:
        return None
    source = Path(__file__).with_name("full_disk.c")
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], capture_output=True, check=False
    )
    return None if built.returncode else library
