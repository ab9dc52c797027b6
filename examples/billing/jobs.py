"""The handlers: what workers import and run.

    BILLING_DSN=… BILLING_RECEIPTS=… pgqueue worker --app billing.jobs --queue demo-billing:8 --queue demo-receipts:4

from the folder above this one. Kind and arguments of a job are in the queue; this is the code that they mean.
"""

import asyncio
import html
import os
import tempfile
from pathlib import Path

import psycopg

from pgqueue import Backoff, JobContext, job

QUICK = Backoff(base=0.2, cap=2)
"""A second attempt after 0.1 to 0.2 seconds, so that the demo is over soon. The default begins at one second."""


class CardDeclined(Exception):
    """The bank says no, and will say no again."""


class ProviderDown(Exception):
    """The payment provider does not answer right now."""


@job(queue="demo-billing", max_attempts=4, timeout=10, backoff=QUICK)
async def charge(ctx: JobContext, order_number: str) -> str:
    """Charges an order's card and books it. Async: thousands of these may wait for the provider at a time.

    A job runs at least once. If this worker dies after the provider took the money and before the outcome was
    recorded, another worker runs it again. So both steps are idempotent: the provider is given the order's number as
    its idempotency key, and the booking has it as its primary key.
    """
    connection = await database()
    row = await (
        await connection.execute(
            "select amount, card from billing_demo.customer_order where number = %s", [order_number]
        )
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order_number}")
    amount, card = row
    await call_provider(card, ctx.attempt)
    await connection.execute(
        "insert into billing_demo.charge (order_number, amount) values (%s, %s) on conflict do nothing",
        [order_number, amount],
    )
    return f"charged {amount}"


@job(queue="demo-receipts", timeout=10, backoff=QUICK)
def receipt(order_number: str) -> str:
    """Writes an order's receipt, a page that a browser opens. Sync: it runs in a thread and may block.

    The file appears complete or not at all, and writing it twice gives the same file.
    """
    folder = Path(os.environ["BILLING_RECEIPTS"])
    with psycopg.connect(os.environ["BILLING_DSN"]) as connection:
        row = connection.execute(
            "select o.customer, o.article, o.amount, o.ordered_on, o.card from billing_demo.customer_order o "
            "where o.number = %s",
            [order_number],
        ).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order_number}")
    target = folder / f"{order_number}.html"
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", encoding="utf-8", delete=False) as part:
        part.write(page(order_number, *row))
    os.replace(part.name, target)
    return target.name


async def call_provider(card: str, attempt: int) -> None:
    """Stands in for a payment provider's API; the card's last digits say how it goes, as with the test cards of one."""
    await asyncio.sleep(0.05)
    if card == "0002":
        raise CardDeclined("insufficient funds")
    if (card == "0119" and attempt < 2) or (card == "0341" and attempt < 3):
        raise ProviderDown("503 Service Unavailable")


def page(number: str, customer: str, article: str, amount: object, ordered_on: object, card: str) -> str:
    """The receipt as HTML."""
    rows = {"Article": article, "Date": ordered_on, "Card": f"•••• {card}", "Amount": f"{amount} EUR"}
    table = "\n".join(f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Receipt {number}</title>
<style>
body {{ font: 1rem/1.5 sans-serif; max-width: 30rem; margin: 3rem auto }}
th {{ text-align: left; width: 8rem }}
</style>
<h1>Receipt {number}</h1>
<p>Dear {html.escape(customer)}, thank you for your order.</p>
<table>
{table}
</table>
"""


_connection: psycopg.AsyncConnection | None = None
_opening = asyncio.Lock()


async def database() -> psycopg.AsyncConnection:
    """The one connection that all charges of this worker share; they wait for each other only while it is in use."""
    global _connection
    async with _opening:
        if _connection is None or _connection.closed:
            _connection = await psycopg.AsyncConnection.connect(os.environ["BILLING_DSN"], autocommit=True)
    return _connection
