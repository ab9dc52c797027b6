"""Writes the README's tables between their markers, from the recorded results."""

from __future__ import annotations

import json
import re
import statistics
from typing import Any

from kit.pairs import RESULTS

README = RESULTS.parent / "README.md"
ORDER = (
    "drain", "drain_sync", "drain_variants", "enqueue", "enqueue_many", "latency", "ahead", "schedules", "idle",
    "snapshot", "houses", "workers", "memory",
)  # fmt: skip
COSTS = {
    "worker CPU, µs": ("python_cpu", 1),
    "server CPU, µs": ("server_cpu", 1),
    "WAL, bytes": ("wal", 0),
    "dead rows": ("dead", 2),
    "HOT updates": ("hot", 2),
    "transactions per 1000": ("transactions", 1),
    "worker memory, MB": ("rss", 0),
}


def main() -> None:
    """Replaces each marked part; a script without results is left out."""
    found = {name: json.loads(file.read_text()) for name in ORDER if (file := RESULTS / f"{name}.json").exists()}
    text = README.read_text()
    for marker, part in (("figures", figures(found)), ("costs", costs(found)), ("machine", machine(found))):
        block = f"<!-- {marker} -->\n{part}\n<!-- /{marker} -->"
        text, count = re.subn(rf"<!-- {marker} -->.*<!-- /{marker} -->", lambda _: block, text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            raise SystemExit(f"{README} has {count} parts marked {marker}; it needs one")
    README.write_text(text)
    print("README.md: tables written")


def figures(found: dict[str, Any]) -> str:
    """One row for each figure."""
    lines = ["| figure | goal | pgqueue | other side | reached | |", "|---|---|---:|---:|---:|---|"]
    for name, result in found.items():
        for row in result["rows"]:
            mark = "" if row["goal"] == "no goal" else "met" if row["met"] else "**missed**"
            reached = _number(row["reached"])
            cells = f"[{row['figure']}]({name}.py)", row["goal"], row["ours"], row["theirs"], reached, mark
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if found else "Not measured yet."


def costs(found: dict[str, Any]) -> str:
    """What a job costs on each side of the drain, medians of its runs."""
    if "drain" not in found:
        return "Not measured yet."
    lines = [f"| per job | {' | '.join(COSTS)} |", f"|---|{'---:|' * len(COSTS)}"]
    for name, runs in found["drain"]["runs"].items():
        cells = [f"{statistics.median(run[key] for run in runs):,.{digits}f}" for key, digits in COSTS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine(found: dict[str, Any]) -> str:
    """Where and when."""
    told = {json.dumps({**result["machine"], "postgres": result["postgres"]}) for result in found.values()}
    days = sorted({result["measured"][:10] for result in found.values()})
    lines = [", ".join(f"{key} {value}" for key, value in json.loads(each).items()) for each in sorted(told)]
    return "\n".join([*lines, f"\nMeasured {' and '.join(days)}."]) if found else "Not measured yet."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


if __name__ == "__main__":
    main()
