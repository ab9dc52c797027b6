"""pgqueue.under_way: has a transaction, of which a row keeps 32 bits, ended?"""

import pytest

from tests.sql.verbs import value

pytestmark = pytest.mark.integration

MINE = "select pg_current_xact_id()::xid"
ASK = "select pgqueue.under_way(%s::text::xid)"


def test_a_transaction_is_under_way_until_it_ends(db, sessions):
    """However it ends."""
    for ends_well in (True, False):
        (other,) = sessions(1)
        with other.transaction(force_rollback=not ends_well):
            mine = value(other, MINE)
            assert value(db, ASK, [mine])
        assert not value(db, ASK, [mine])


def test_the_newest_of_many_is_under_way(db, sessions):
    """It is newer than the last that ended, which is as far as a snapshot looks."""
    first, second, third = sessions(3)
    with first.transaction():
        value(first, MINE)
        value(second, MINE)
        with third.transaction():
            assert value(db, ASK, [value(third, MINE)])


def test_what_came_long_before_or_is_no_transaction_has_ended(db):
    """Several that share a row are kept as a number of another kind, mostly a small one."""
    assert not value(db, ASK, [3])
    assert not value(db, ASK, [value(db, "select (pg_current_xact_id()::text::bigint - 100)::text")])
