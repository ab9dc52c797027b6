"""What the database says at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pgqueue.cli.demo import example


@dataclass(frozen=True)
class Claim:
    """One thing the demo promises; it holds if as many were found as wanted."""

    text: str
    wanted: int
    found: int

    @property
    def holds(self) -> bool:
        return self.wanted == self.found


def claims(connection: psycopg.Connection[Any], receipts: Path) -> list[Claim]:
    """Everything in proof.sql, and the files.

    receipts:  the folder they were written to.
    """
    asked = [Claim(*row) for row in connection.execute(example.text("proof.sql").encode())]
    numbers = connection.execute("select o.number from billing_demo.customer_order o")
    orders = {f"{number}.html" for (number,) in numbers}
    written = {file.name for file in receipts.glob("*.html") if file.stat().st_size > 0}
    return [*asked, Claim("each committed order has a receipt on disk", len(orders), len(orders & written))]
