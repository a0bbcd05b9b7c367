"""What each rule and each tuned constant of the planner is worth, over scenarios and readers.

.venv/bin/python -m bench.ablation [--seeds N] [--jobs N] [--only NAME...] [--constants | --rules]

A rule is switched off, a constant halved and doubled, and all worlds run again: every scenario of
``bench/scenarios`` (``ten-thousand`` left out), readers, and sources that come and go. The table
has changes that exceed both a threshold and twice their standard error over the seeds. What has no
cell moves nothing.
"""

from __future__ import annotations

import argparse
import importlib
import math
import multiprocessing
import pkgutil
import re
import statistics
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.simulation.coming import coming
from tests.simulation.readers import measured, reading

import regather.planner
from bench.compiled import how
from bench.simulate.cli import SCENARIOS
from bench.simulate.limit import fluid_limit
from bench.simulate.scenario import load
from bench.simulate.setting import Setting, build
from bench.simulate.world import Outcome, Stuck, World
from regather.planner import Finished

_DEFINITION = re.compile(r"^(_?[A-Z][A-Z_]+) = ([0-9][0-9_.e]*|[0-9]+ << [0-9]+)$", re.MULTILINE)
_HEAVY = {"thousand": 1, "refusing": 2, "parity-sets": 2}
"""Seeds of scenarios that take long."""
_LEFT_OUT = ("ten-thousand",)
_MOVES = {"": 0.003, "in vain": 0.003, "share": 0.03}
"""Smaller changes of a figure are luck."""
READERS: dict[str, dict[str, Any]] = {
    "reader-slow-sources": {"readers": 1, "sources": 32, "rand": True, "slow": True},
    "reader-in-order": {"readers": 1, "sources": 4, "slow": True},
    "readers-in-order": {"readers": 10, "sources": 4, "slow": True},
    "readers-in-order-many-sources": {"readers": 10, "sources": 32, "slow": True, "pieces": 200},
    "readers-at-random": {"readers": 10, "sources": 32, "rand": True, "slow": True},
    "readers-come-and-go": {"readers": 10, "sources": 4, "churn": True},
}

Figures = dict[tuple[str, str], list[float]]
"""By world and figure, by seed: makespan over the limit (""), "in vain", "share"."""
Change = Callable[[], None]


def _modules() -> dict[str, types.ModuleType]:
    names = [m.name for m in pkgutil.iter_modules(regather.planner.__path__)]
    return {name: importlib.import_module(f"regather.planner.{name}") for name in names}


def _nothing(*_: object, **__: object) -> None:
    return None


def _no_list(*_: object, **__: object) -> list[Any]:
    return []


def _no(*_: object, **__: object) -> bool:
    return False


RULES: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "stealing and hedging": (("dispatch", "take_over", _nothing),),
    "hedging the last piece": (("steal_and_hedge", "_may_hedge", _no),),
    "whole fragments once more": (("whole", "again", _nothing),),
    "surplus requests are given up": (("dispatch", "surplus_requests", _no_list),),
    "stalled requests are found": (("dispatch", "find_stalls", _no_list),),
    "the next request is sent ahead": (("core", "look_ahead", _nothing),),
    "parity for late data": (("parity", "late_ones", lambda *_: ()),),
    "a slow source leaves the rest to faster ones": (("selection", "_better_left", _no),),
    "readers: a slow source leaves urgent pieces": (("fair_turns", "_better_left", _no),),
    "readers: a slow source gets what is needed later": (
        ("fair_turns", "_pieces_meanwhile", lambda *_: 0),
    ),
    "the rate of one who lost a race is noted": (("arrivals", "note_slow", _nothing),),
    "the idle source that is fastest looks first": (("dispatch", "Dispatch.prefer", _nothing),),
    "requests give way to readers": (("changes", "Changes.make_room", _no),),
    "more connections are tried": (
        ("concurrency", "HillClimb.judge", lambda self, now, *_, **__: self.restart(now)),
    ),
    "a refused connection is tried again soon": (
        ("health", "_refused_pause", lambda *_: math.inf),
    ),
    "shares of parity": (("selection", "_fair_share", lambda _state, pieces: pieces),),
}
"""What to put in the place of a function, by the rule that this switches off."""


class Variant(NamedTuple):
    """One change of the planner."""

    name: str
    where: str
    change: Change | None


def rules() -> Iterator[Variant]:
    """Each rule, switched off."""
    for name, places in RULES.items():

        def change(places: tuple[tuple[str, str, Any], ...] = places) -> None:
            for module, path, new in places:
                owner: Any = _modules()[module]
                *outer, last = path.split(".")
                for part in outer:
                    owner = getattr(owner, part)
                assert hasattr(owner, last), (module, path)
                setattr(owner, last, new)

        yield Variant(name, "off", change)


def constants() -> Iterator[Variant]:
    """All numbers that modules of the planner define, halved and doubled."""
    for module, loaded in _modules().items():
        text = Path(str(loaded.__file__)).read_text(encoding="utf-8")
        for name, value in _DEFINITION.findall(text):
            for where, factor in (("halved", 0.5), ("doubled", 2.0)):

                def change(name: str = name, factor: float = factor, module: str = module) -> None:
                    old = getattr(_modules()[module], name)
                    new = type(old)(old * factor)
                    for other in _modules().values():  # those that import it as well
                        if getattr(other, name, None) == old:
                            setattr(other, name, new)

                yield Variant(f"{module}.{name} = {value}", where, change)


@cache
def _settings(seeds: int) -> dict[str, list[tuple[Setting, float]]]:
    """By scenario: what its seeds decide, and the fluid limit. Made once, before any change."""
    found = {}
    for path in sorted(SCENARIOS.glob("*.toml")):
        if path.stem not in _LEFT_OUT:
            made = [
                build(load(path), seed, fluid_limit)
                for seed in range(min(seeds, _HEAVY.get(path.stem, seeds)))
            ]
            found[path.stem] = [(setting, fluid_limit(setting)) for setting in made]
    return found


def figures(seeds: int) -> Figures:
    """The figures of the planner as it is now."""
    found: Figures = {}

    def note(world: str, run: Callable[[], Outcome], size: int, limit: float) -> None:
        try:
            outcome = run()
        except Stuck:
            outcome = None
        ended = outcome is not None and isinstance(outcome.ending, Finished)
        ratio = outcome.makespan / limit if outcome and ended else math.inf
        found.setdefault((world, ""), []).append(ratio)
        vain = outcome.received / size - 1 if outcome and ended else math.inf
        found.setdefault((world, "in vain"), []).append(vain)

    for name, made in _settings(seeds).items():
        for setting, limit in made:
            world = World(setting, deadline=100 + 20 * limit)
            note(name, world.run, setting.layout.size, limit)
    for parts in (False, True):
        for seed in range(seeds):
            come, known = coming(seed, parts=parts)
            limit = _limit_of_coming(seed, parts)
            name = "sources-with-parts-come-and-go" if parts else "sources-come-and-go"
            note(name, come.run, known.layout.size, limit)
    for name, kind in READERS.items():
        for seed in range(max(1, seeds // 2)):
            result = measured(reading(**{"pieces": 60, **kind}, seed=seed))
            found.setdefault((name, "in vain"), []).append(result.in_vain)
            found.setdefault((name, "share"), []).append(result.used)
    return found


@cache
def _limit_of_coming(seed: int, parts: bool) -> float:
    return fluid_limit(coming(seed, parts=parts)[1])


def _tried(variant: Variant, seeds: int) -> Figures | str:
    if variant.change is not None:
        variant.change()
    try:
        return figures(seeds)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def changes(usual: Figures, found: Figures) -> list[str]:
    """The significant changes, in words, the largest first."""
    told: list[tuple[float, str]] = []
    for (world, figure), before in usual.items():
        after = found[world, figure]
        if not all(map(math.isfinite, after)):
            told.append((math.inf, f"{world} does not end"))
            continue
        each = [b - a for a, b in zip(before, after, strict=True)]
        mean = statistics.mean(each)
        error = statistics.stdev(each) / math.sqrt(len(each)) if len(each) > 1 else 0.0
        if abs(mean) >= max(_MOVES[figure], 2 * error):
            told.append((abs(mean), f"{world} {mean:+.1%} {figure}".rstrip()))
    return list(dict.fromkeys(text for _, text in sorted(told, reverse=True)))


_work: list[tuple[Variant, int]] = []
"""What forked children may be told to try: variants, and how many seeds."""


def _run(number: int) -> tuple[int, Figures | str]:
    return number, _tried(*_work[number])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], help="parts of names")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rules", action="store_true")
    which.add_argument("--constants", action="store_true")
    options = parser.parse_args(arguments)
    if how() != "plain Python":
        print("ablation: needs the plain planner; call make plain", file=sys.stderr)
        return 2
    variants = [Variant("as it is", "", None)]
    variants += [] if options.constants else rules()
    variants += [] if options.rules else constants()
    variants = [
        v
        for n, v in enumerate(variants)
        if not (n and options.only) or any(part in v.name for part in options.only)
    ]
    _settings(options.seeds)
    for seed in range(options.seeds):
        for parts in (False, True):
            _limit_of_coming(seed, parts)
    _work.extend((variant, options.seeds) for variant in variants)
    usual: Figures = {}
    print("| rule or constant | changed | effect |\n| --- | --- | --- |", flush=True)
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for number, found in pool.imap(_run, range(len(variants))):
            if isinstance(found, str):
                cell = found
            elif not number:
                usual = found
                continue
            else:
                cell = ", ".join(changes(usual, found)[:4])
            print(f"| {variants[number].name} | {variants[number].where} | {cell} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
