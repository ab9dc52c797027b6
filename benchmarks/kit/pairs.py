"""Sides measured in turns, A B B A A B …, so that what else the machine does falls on all of them; then medians."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.server import machine

RESULTS = Path(__file__).resolve().parent.parent / "results"


def arguments(about: str, *, jobs: int, smoke: int, pairs: int = 3) -> argparse.Namespace:
    """The command line all scripts share. jobs: at full size; smoke: just to see that it runs."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--jobs", type=int, help=f"how many; default {jobs:,}")
    parser.add_argument("--pairs", type=int, help=f"times that each side is measured; default {pairs}")
    parser.add_argument("--major", type=int, help="of Postgres; default: the highest that is at hand")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, nothing recorded: see that it runs")
    parser.add_argument("--keep", action="store_true", help="record the result even if sizes differ from the defaults")
    given = parser.parse_args()
    given.recorded = given.keep or not (given.smoke or given.jobs or given.pairs)
    given.jobs = given.jobs or (smoke if given.smoke else jobs)
    given.pairs = given.pairs or (1 if given.smoke else pairs)
    return given


def alternate(sides: Mapping[str, Callable[[], Any]], pairs: int) -> dict[str, list[Any]]:
    """Measures each side `pairs` times, there and back: what one leaves to be written must not always fall on the same
    next one."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    turn = list(sides)
    for _ in range(pairs):
        for name in turn:
            found[name].append(sides[name]())
        turn.reverse()
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median, least and most of ours / theirs, pair by pair."""
    return summary([mine / other for mine, other in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 … 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def show(name: str, found: Mapping[str, float], unit: str = "", digits: int = 0) -> None:
    """One line of the figures."""
    median, low, high = (f"{found[key]:,.{digits}f}" for key in ("median", "min", "max"))
    print(f"  {name:<44} {median:>12} {unit:<8} ({low} … {high})", flush=True)


def record(given: argparse.Namespace, name: str, rows: Sequence[Mapping[str, Any]], postgres: str, **more: Any) -> None:
    """Writes results/NAME.json, from which the README's table and the plots are made.

    rows: {figure, goal, ours, theirs, reached: a number, met: whether that is the goal}.
    """
    for row in rows:
        verdict = "" if given.smoke else "met" if row["met"] else "MISSED"
        print(f"  → {row['figure']}: {row['ours']} against {row['theirs']}: {row['goal']} {verdict}", flush=True)
    if given.recorded:
        RESULTS.mkdir(exist_ok=True)
        when = datetime.now(UTC).isoformat(timespec="minutes")
        content = {"measured": when, "postgres": postgres, "machine": machine(), "rows": rows, **more}
        lines = ",\n".join(
            f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()
        )
        (RESULTS / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")


def row(figure: str, goal: str, ours: str, theirs: str, reached: float, met: bool) -> dict[str, Any]:
    """One row of the README's table."""
    return {"figure": figure, "goal": goal, "ours": ours, "theirs": theirs, "reached": reached, "met": met}
