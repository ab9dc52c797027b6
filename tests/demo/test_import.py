"""The example's file of orders and its import."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pgqueue.cli.demo import example
from pgqueue.errors import ConfigurationError

BILLING = Path(__file__).resolve().parents[2] / "examples" / "billing"


@pytest.fixture
def make_orders():
    return example.module("billing.make_orders")


def test_the_file_is_what_its_script_writes(make_orders):
    """Byte for byte, on any machine: whoever doubts the demo can make its input again."""
    assert (BILLING / "orders.csv").read_bytes() == ("\n".join(make_orders.lines()) + "\n").encode()


@pytest.mark.integration
def test_exactly_the_malformed_orders_are_rolled_back_with_their_jobs(db, make_orders):
    """The jobs had been enqueued, with numbers, when the database refused the order."""
    example.make_schema(db)
    outcomes = list(example.module("billing.orders").import_orders(db))

    assert len(outcomes) == 1_000
    assert {outcome.line for outcome in outcomes if outcome.refused} == set(make_orders.MALFORMED)
    kinds = db.execute("select kind, count(*) from pgqueue.jobs group by kind order by kind").fetchall()
    assert kinds == [("charge", 988), ("receipt", 988)]
    given_out = db.execute("select count(*) from billing_demo.refused_line where receipt_job is not null").fetchone()
    found = db.execute(
        "select count(*) from pgqueue.jobs j join billing_demo.refused_line r on j.id in (r.charge_job, r.receipt_job)"
    ).fetchone()
    assert (given_out, found) == ((12,), (0,))


@pytest.mark.integration
def test_a_demo_replaces_the_tables_of_the_one_before(db):
    """Running it again must just work."""
    example.make_schema(db)
    list(example.module("billing.orders").import_orders(db))
    example.make_schema(db)
    assert db.execute("select count(*) from billing_demo.customer_order").fetchone() == (0,)


@pytest.mark.integration
@pytest.mark.parametrize("comment", ["null", "'Our own billing'"])
def test_a_schema_that_no_demo_made_is_left_alone(db, comment):
    """Somebody's data may be in it."""
    db.execute("create schema billing_demo create table customer_order (n integer)")
    db.execute(f"comment on schema billing_demo is {comment}")
    with pytest.raises(ConfigurationError, match="has a schema billing_demo that no demo made"):
        example.make_schema(db)
    assert db.execute("select count(*) from billing_demo.customer_order").fetchone() == (0,)


@pytest.mark.integration
def test_it_can_be_played_by_hand_as_its_readme_says(empty_dsn, tmp_path):
    """The commands of the README, with this test's database in place of the reader's."""
    text = (BILLING / "README.md").read_text()
    commands = text.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert commands[0].startswith("export BILLING_DSN=postgresql:///playground ")
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "BILLING_DSN": empty_dsn, "PGQUEUE_DSN": empty_dsn, "BILLING_RECEIPTS": str(tmp_path / "receipts"),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
    }  # fmt: skip
    ours = [command for command in commands[1:] if not command.startswith("psql")]
    for command in ours:
        if "billing.orders" in command:  # where psql would have run schema.sql
            with psycopg.connect(empty_dsn) as connection:
                connection.execute((BILLING / "schema.sql").read_bytes())
        done = subprocess.run(
            command, shell=True, cwd=BILLING.parent, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    assert len(list((tmp_path / "receipts").glob("R-*.html"))) == 988
