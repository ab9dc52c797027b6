"""stand_in: who cannot keep the lead does what a leader does while there is none."""

import pytest

from tests.sql.verbs import LOCKS, value

pytestmark = pytest.mark.integration


def test_whoever_asks_stands_in_while_nobody_leads_and_keeps_nothing(db, sessions):
    """Its session is anybody's afterwards: a lock that stayed would keep everybody from the lead."""
    (other,) = sessions(1)

    assert value(db, "select pgqueue.stand_in()")
    assert value(other, "select pgqueue.stand_in()")
    assert value(db, f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = 1885827332") == 0


def test_nobody_stands_in_for_a_leader_that_is_there(db, sessions):
    """It does what there is to do."""
    (leader,) = sessions(1)
    assert value(leader, "select pgqueue.lead()")

    assert not value(db, "select pgqueue.stand_in()")
