"""The tree of errors, and the way from SQLSTATE to it."""

import re

import pytest

from pgqueue import errors

OURS = {
    "PQ001": errors.InvalidJob,
    "PQ003": errors.JobNotFound,
    "PQ004": errors.WrongState,
    "PQ005": errors.WorkerLost,
}


@pytest.mark.parametrize(("sqlstate", "expected"), OURS.items())
def test_a_sqlstate_of_ours_becomes_its_error(sqlstate, expected):
    """Message and hint of the server are what people then read."""
    error = errors.from_sqlstate(sqlstate, "job 7 is lost", "Look elsewhere.")

    assert type(error) is expected
    assert str(error) == "job 7 is lost. Look elsewhere."
    assert str(errors.from_sqlstate(sqlstate, "job 7 is lost")) == "job 7 is lost"


@pytest.mark.parametrize("sqlstate", [None, "", "40001", "PQ999"])
def test_any_other_sqlstate_stays_the_drivers_error(sqlstate):
    """A serialization failure must reach the application as such: it knows how to try again."""
    assert errors.from_sqlstate(sqlstate, "not ours") is None


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidJob, ValueError),
        (errors.JobNotFound, LookupError),
        (errors.UnknownKind, LookupError),
        (errors.JobTimeout, TimeoutError),
        (errors.UnsupportedConnection, TypeError),
        (errors.ConfigurationError, ValueError),
    ],
)
def test_an_error_is_also_the_builtin_that_people_expect(error, builtin):
    """`except ValueError` around enqueue should do what it says."""
    assert issubclass(error, errors.QueueError)
    assert issubclass(error, builtin)


def test_the_tree_in_the_docstring_is_the_tree():
    """It is what one reads first."""
    assert errors.__doc__
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__)
    defined = [name for name, value in vars(errors).items() if isinstance(value, type) and name != "QueueError"]

    assert drawn == defined
