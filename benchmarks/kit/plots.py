"""The README's plots, from the recorded results. What was not measured yet has no plot."""

from __future__ import annotations

import json
import statistics
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from kit.pairs import RESULTS
from kit.runs import EVERY

PLOTS = RESULTS.parent / "plots"
OURS, THEIRS, OTHER = "#1f5fa8", "#b0b6bd", "#d98c3f"


def main() -> None:
    """Draws all that has results."""
    PLOTS.mkdir(exist_ok=True)
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 150})
    for name, draw in {"drain": drain, "enqueue": enqueue, "latency": latency, "snapshot": snapshot}.items():
        file = RESULTS / f"{name}.json"
        if file.exists():
            figure, axes = plt.subplots(figsize=(7, 3.2))
            draw(axes, json.loads(file.read_text()))
            figure.tight_layout()
            figure.savefig(PLOTS / f"{name}.png")
            plt.close(figure)
            print(f"drawn: plots/{name}.png")


def drain(axes: Any, found: dict[str, Any]) -> None:
    """Bars: jobs a second of each queue, with the least and the most of its runs."""
    rates = {name: [run["rate"] for run in runs] for name, runs in found["runs"].items()}
    names = sorted(rates, key=lambda name: statistics.median(rates[name]))
    medians = [statistics.median(rates[name]) for name in names]
    spread = [
        [median - min(rates[name]) for name, median in zip(names, medians, strict=True)],
        [max(rates[name]) - median for name, median in zip(names, medians, strict=True)],
    ]
    colors = [OURS if name.startswith("pgqueue") else OTHER if name == "SQL floor" else THEIRS for name in names]
    axes.barh(names, medians, xerr=spread, color=colors, ecolor="#444444", capsize=3)
    for position, median in enumerate(medians):
        axes.text(max(rates[names[position]]), position, f"  {median:,.0f}", va="center", ha="left")
    axes.set_xlim(right=max(max(values) for values in rates.values()) * 1.15)
    axes.set_xlabel("jobs a second, one worker process, no-op async jobs")


def enqueue(axes: Any, found: dict[str, Any]) -> None:
    """Lines: transactions a second against the number of clients."""
    looks = {
        "enqueue": (OURS, "-"),
        "insert": (OTHER, "-"),
        "enqueue, live worker": (OURS, "--"),
        "notify, live worker": (THEIRS, "--"),
    }
    for name, points in found["curve"].items():
        color, line = looks[name]
        axes.plot(*zip(*points, strict=True), line, color=color, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks([clients for clients, _ in next(iter(found["curve"].values()))])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clients, each committing single jobs")
    axes.set_ylabel("transactions a second")
    axes.legend(frameon=False)


def latency(axes: Any, found: dict[str, Any]) -> None:
    """The part of all jobs that were started within so many milliseconds."""
    for name, color in (("pgqueue", OURS), ("floor", OTHER), ("floor, claim", THEIRS)):
        # A job may start before its producer, told of the commit, is itself awake again.
        values = sorted(max(pair[0], 0.05) for pair in found["samples"][name])
        axes.plot(values, [(index + 1) / len(values) for index in range(len(values))], color=color, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("milliseconds from commit to start")
    axes.set_ylabel("part of all jobs")
    axes.legend(frameon=False)


def snapshot(axes: Any, found: dict[str, Any]) -> None:
    """Lines: jobs a second over time, each point a second."""
    looks = {"snapshot held": OURS, "no snapshot": THEIRS, "snapshot held, no claim cursor": OTHER}
    steps = round(1 / EVERY)
    for name, curve in found["curves"].items():
        seconds = [sum(curve[start : start + steps]) for start in range(0, len(curve) - steps + 1, steps)]
        axes.plot(range(len(seconds)), seconds, color=looks[name], label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("jobs a second")
    axes.legend(frameon=False)


if __name__ == "__main__":
    main()
