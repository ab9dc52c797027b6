"""Writes orders.csv: 1,000 orders, a few of them malformed on purpose. The same bytes every time.

python make_orders.py
"""

import random
from datetime import date, timedelta
from pathlib import Path

ORDERS = 1_000
COLUMNS = ("number", "customer", "article", "amount", "ordered_on", "card")

FIRST = ("Ada", "Alan", "Barbara", "Dennis", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Katherine", "Niklaus")
LAST = (
    "Abel",
    "Brandt",
    "Cruz",
    "Dupont",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haas",
    "Ivanova",
    "Lund",
    "Novak",
    "Okafor",
)
ARTICLES = (
    "Desk lamp",
    "Office chair",
    "Notebook, lined",
    "Fountain pen",
    'Monitor 27"',
    "Standing desk",
    "Cable & hub",
)

GOOD, SLOW, DOWN, DECLINED = "4242", "0119", "0341", "0002"
"""The last four digits of a card say how its charge will go: well; failing once; failing twice; never."""

MALFORMED = {
    57: {"amount": "12,50"},
    131: {"customer": ""},
    204: {"ordered_on": "2026-02-30"},
    290: {"number": "R-00012"},  # a second order of that number
    377: {"amount": "-19.90"},
    441: {"card": ""},
    503: {"amount": "on account"},
    588: {"number": ""},
    666: {"amount": "99999999999.00"},
    743: {"ordered_on": "soon"},
    812: {"number": "R-00700"},
    905: {"customer": None, "article": None, "amount": None, "ordered_on": None, "card": None},  # the line was cut off
}
"""Line of the file, counted from the first order → what is wrong there."""

CARDS = dict.fromkeys(range(20, ORDERS, 25), SLOW) | dict.fromkeys(range(33, ORDERS, 111), DOWN) | {420: DECLINED}
"""Order → card, where it is not a good one."""


def lines() -> list[str]:
    chance = random.Random(2026)

    def one_of(values: tuple[str, ...]) -> str:
        return values[int(chance.random() * len(values))]

    made = [",".join(COLUMNS)]
    for n in range(1, ORDERS + 1):
        order: dict[str, str | None] = {
            "number": f"R-{n:05}",
            "customer": f"{one_of(FIRST)} {one_of(LAST)}",
            "article": one_of(ARTICLES),
            "amount": f"{5 + chance.random() * 495:.2f}",
            "ordered_on": str(date(2026, 1, 1) + timedelta(days=int(chance.random() * 180))),
            "card": CARDS.get(n, GOOD),
        }
        order.update(MALFORMED.get(n, {}))
        made.append(",".join(_quoted(value) for value in order.values() if value is not None))
    return made


def _quoted(value: str) -> str:
    doubled = value.replace('"', '""')
    return f'"{doubled}"' if set(value) & set(',"') else value


if __name__ == "__main__":
    target = Path(__file__).with_name("orders.csv")
    target.write_text("\n".join(lines()) + "\n", encoding="utf-8", newline="\n")
    print(f"{target}: {ORDERS} orders, {len(MALFORMED)} of them malformed")
