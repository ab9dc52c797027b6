"""The import: each order of the file and its two jobs in one transaction.

python -m billing.orders 'postgresql://…'
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from billing.jobs import charge, receipt

from pgqueue import enqueue
from pgqueue.errors import InvalidJob

FILE = Path(__file__).with_name("orders.csv")

INSERT = """
insert into billing_demo.customer_order (number, customer, article, amount, ordered_on, card, charge_job, receipt_job)
values (%(number)s, %(customer)s, %(article)s, %(amount)s, %(ordered_on)s, %(card)s, %(charge_job)s, %(receipt_job)s)
"""
REFUSE = """
insert into billing_demo.refused_line (line, reason, charge_job, receipt_job)
values (%(line)s, %(reason)s, %(charge_job)s, %(receipt_job)s)
"""


@dataclass
class Imported:
    """What became of a line of the file.

    refused:  why it was rolled back; None when it was committed.
    """

    line: int
    refused: str | None


def import_orders(connection: psycopg.Connection[Any], file: Path = FILE) -> Iterator[Imported]:
    """Imports one order after the other; gives what became of each. The connection must be in autocommit mode."""
    with file.open(encoding="utf-8", newline="") as lines:
        for line, order in enumerate(csv.DictReader(lines), 1):
            yield Imported(line, import_order(connection, line, order))


def import_order(connection: psycopg.Connection[Any], line: int, order: dict[str, Any]) -> str | None:
    """All of it or nothing; gives the reason for nothing.

    The jobs are enqueued first, although nobody has looked at the order yet: when the database refuses it, they are
    rolled back with it and never existed. Their numbers are kept, to prove that afterwards.
    """
    jobs = {"charge_job": None, "receipt_job": None}
    try:
        with connection.transaction():
            jobs["charge_job"] = enqueue(connection, charge.job(order["number"])).id
            jobs["receipt_job"] = enqueue(connection, receipt.job(order["number"])).id
            connection.execute(INSERT, order | jobs)
    except (psycopg.DataError, psycopg.IntegrityError, InvalidJob) as error:
        reason = str(error).splitlines()[0]
        connection.execute(REFUSE, {"line": line, "reason": reason} | jobs)
        return reason
    return None


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1], autocommit=True) as database:
        for outcome in import_orders(database):
            if outcome.refused:
                print(f"line {outcome.line}: {outcome.refused}")
