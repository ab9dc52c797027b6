"""version= and upcasters=: arguments of a former version become those of today."""

import json

import pytest

from pgqueue import job
from pgqueue.errors import ArgumentsTooNew, ConfigurationError, InvalidJob


def renamed(args):
    args["cents"] = args.pop("amount")
    return args


def with_currency(args):
    return {**args, "currency": "EUR"}


def charge_of(**options):
    def charge(cents: int, currency: str) -> None: ...

    return job(**options)(charge)


def of_version(number):
    return json.dumps({"version": number})


@pytest.fixture
def charge():
    return charge_of(version=3, upcasters={1: renamed, 2: with_currency})


def test_arguments_of_each_former_version_become_those_of_today(charge):
    """The upcasters form a chain, so each is written once, when its version ends."""
    today = {"cents": 5, "currency": "EUR"}

    assert charge.arguments('{"amount": 5}') == today
    assert charge.arguments('{"amount": 5}', of_version(1)) == today
    assert charge.arguments('{"cents": 5}', of_version(2)) == today
    assert charge.arguments('{"cents": 5, "currency": "EUR"}', of_version(3)) == today


def test_a_job_notes_the_version_it_was_made_for(charge):
    """In its meta data, which most jobs have not."""
    assert charge.job(5, "EUR").meta == {"version": 3}
    assert charge_of(name="other").job(5, "EUR").meta is None


def test_other_meta_data_leaves_the_version_as_it_is(charge):
    """Or the job would be taken for one of version 1."""
    made = charge.job(5, "EUR")

    assert made.options(meta={"tenant": 7}).meta == {"version": 3, "tenant": 7}
    assert made.options(meta=None).meta == {"version": 3}
    assert made.options(priority=0).meta == {"version": 3}


def test_arguments_of_a_version_to_come_are_not_touched(charge):
    """A rolling deploy: the producer is newer than this worker."""
    with pytest.raises(ArgumentsTooNew, match=r"version 4 and charge here is at version 3.*newer code"):
        charge.arguments('{"euros": 5}', of_version(4))
    with pytest.raises(ArgumentsTooNew, match="version 2 and plain here is at version 1"):
        charge_of(name="plain").arguments('{"cents": 5}', of_version(2))


@pytest.mark.parametrize(
    ("payload", "meta", "said"),
    [
        ('{"cents": 5}', None, r"version 1, and the upcaster from 1 to 2 raised KeyError: 'amount'"),
        ('{"amount": "x"}', None, "cents: Input should be a valid integer"),
        ("5", None, "upcaster from 1 to 2 raised AttributeError"),
        ('{"amount": 1' + "0" * 5000 + "}", None, "cannot be read"),
        ('{"amount": ' + "[" * 5000 + "]" * 5000 + "}", None, "cannot be read|recursion limit"),
        ("{}", '{"version": "2"}', "version '2', which is none"),
        ("{}", '{"version": 0}', "version 0, which is none"),
        ("{}", '{"version": true}', "version True, which is none"),
    ],
)
def test_what_cannot_be_brought_up_to_date_is_refused_readably(charge, payload, meta, said):
    """Whoever looks at the dead letter sees which step failed."""
    with pytest.raises(InvalidJob, match=said):
        charge.arguments(payload, meta)


@pytest.mark.parametrize(
    ("returned", "said"),
    [(None, "returned NoneType, no dict"), ([1], "returned list, no dict"), ({"cents": {1}}, "what is no JSON")],
)
def test_an_upcaster_that_returns_no_arguments_is_refused_readably(returned, said):
    """A forgotten return is the usual slip."""
    charge = charge_of(version=2, upcasters={1: lambda args: returned})

    with pytest.raises(InvalidJob, match=said):
        charge.arguments("{}")


async def later(args):
    return args


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"version": 3, "upcasters": {2: with_currency}}, "no upcaster from version 1"),
        ({"version": 3, "upcasters": {1: renamed}}, "no upcaster from version 2"),
        ({"version": 2}, "no upcaster from version 1"),
        ({"upcasters": {1: renamed}}, "upcaster from version 1, and version is 1; raise version="),
        ({"version": 2, "upcasters": {1: renamed, 2: renamed}}, "upcaster from version 2, and version is 2"),
        ({"version": 2, "upcasters": {1: renamed, "1": renamed}}, "upcaster from version '1'"),
        ({"version": 2, "upcasters": {1: later}}, "give a plain function"),
        ({"version": 2, "upcasters": {1: None}}, "give a plain function"),
        ({"version": 2, "upcasters": [renamed]}, "are no dict"),
        ({"version": 0}, "version 0 is out of range"),
        ({"version": True}, "version True is out of range"),
        ({"version": "2"}, "version '2' is out of range"),
        ({"version": 10**9}, "is out of range"),
    ],
)
def test_versions_that_cannot_work_are_refused_where_the_task_is_made(options, said):
    """Not when the first old job runs, in the night after the deploy."""
    with pytest.raises(ConfigurationError, match=rf"@job of .*charge: .*{said}"):
        charge_of(**options)
