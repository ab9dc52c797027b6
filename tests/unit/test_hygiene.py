"""What the arguments of a job should not be: too large, or a secret that nobody has marked as one."""

import logging
import threading
import warnings

import pytest

from pgqueue import Job, Secret, SecretWarning, job
from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.hygiene import LOOKS, MOST_KINDS, watches

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def said(make):
    """What it was warned of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        make()
    return [(one.category, str(one.message).partition(" and is no Secret")[0]) for one in told]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"password": "hunter2"}, "argument password of login goes by the name of a secret"),
        ({"user": {"apiKey": "abc"}}, "argument user.apiKey of login goes by the name of a secret"),
        ({"headers": [{"X-Api-Key": 5}]}, "argument headers.X-Api-Key of login goes by the name of a secret"),
        ({"note": f"see {JWT}"}, "argument note of login looks like a JSON Web Token"),
        ({"note": "AKIAIOSFODNN7EXAMPLE"}, "argument note of login looks like an AWS access key"),
        ({"note": "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"}, "argument note of login looks like a Stripe key"),
        ({"note": "ghp_" + "a" * 36}, "argument note of login looks like a GitHub token"),
        ({"note": "xoxb-" + "1" * 12}, "argument note of login looks like a Slack token"),
        ({"note": "-----BEGIN RSA PRIVATE KEY-----\nMII"}, "argument note of login looks like a private key"),
        ({"dsn": "postgresql://app:hunter2@db/app"}, "argument dsn of login looks like a URL with a password"),
        ({"value": "Bearer abcdefghijkl"}, "argument value of login looks like an Authorization header"),
        ({"deep": [[{"token": "x"}]]}, "argument deep.token of login goes by the name of a secret"),
    ],
)
def test_what_looks_like_a_secret_is_told_where_the_job_is_made(args, told):
    """While the developer looks, not when somebody reads it in a dump of the database."""
    assert said(lambda: Job("login", args)) == [(SecretWarning, told)]


@pytest.mark.parametrize(
    "args",
    [
        {"password": Secret("hunter2"), "pin": {"$secret": 5}},
        {"password": None, "has_token": True, "token": ""},
        {"token_count": 5, "max_tokens": 100, "tokenizer": "bpe", "password_length": 8},
        {"note": "skip-the-line", "url": "https://example.org/a:b@c", "at": "12:30", "text": "Bearer of bad news"},
        {"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "hash": "d41d8cd98f00b204e9800998ecf8427e"},
    ],
)
def test_what_is_none_is_not_told(args):
    """A warning that is mostly wrong is switched off, and then it never helps."""
    assert said(lambda: Job("fine", args)) == []


def test_it_is_told_once_for_each_kind_and_name():
    """A loop of a million jobs must not write a million lines."""
    made = said(lambda: [Job(kind, {name: "x"}) for _ in range(3) for kind in ("a", "b") for name in ("token", "otp")])

    assert len(made) == 4


def test_it_names_the_line_that_made_the_job():
    """Not one of ours."""

    @job
    def login(password: str) -> None: ...

    for make in (lambda: login.job("x"), lambda: Job("other", {"password": "x"})):
        with pytest.warns(SecretWarning) as told:
            make()
        assert [one.filename for one in told] == [__file__]


def test_a_task_that_takes_a_secret_is_not_warned_of():
    """The way out that the warning names."""

    @job
    def login(password: Secret[str]) -> None: ...

    assert said(lambda: login.job(Secret("hunter2"))) == []


def test_a_kind_is_searched_a_hundred_times_and_then_known():
    """The search would cost more than all else that makes a job."""
    made = [Job("noop", {"n": n}) for n in range(LOOKS)]

    assert watches[made[0].kind].looks == 0
    assert said(lambda: Job("noop", {"password": "x"})) == []


def test_names_that_somebody_makes_up_do_not_fill_the_memory():
    """A producer that puts an id into the kind."""
    for number in range(MOST_KINDS + 5):
        Job(f"kind-{number}", {})

    assert len(watches) == MOST_KINDS


def test_jobs_are_made_in_many_threads():
    """A web server does."""
    failed = []

    def make():
        try:
            for number in range(200):
                Job(f"kind-{number % 7}", {"n": number})
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_large_arguments_are_told_once_in_the_log(caplog):
    """They are written at least three times; by then somebody should have thought of it."""
    with caplog.at_level(logging.WARNING, logger="pgqueue.enqueue"):
        for kind in ("a", "a", "b"):
            Job(kind, {"data": "ü" * 33_000})
        Job("c", {"data": "x" * 60_000})

    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "args of a take 66,012 bytes, more than 65,536",
        "args of b take 66,012 bytes, more than 65,536",
    ]


def test_a_handler_has_sizes_of_its_own(caplog):
    """A report may be large; an id may not."""

    @job(warn_bytes=20, max_bytes=40, aliases=["old_name"])
    def small(data: str) -> None: ...

    @job(warn_bytes=None)
    def large(data: str) -> None: ...

    with caplog.at_level(logging.WARNING, logger="pgqueue.enqueue"):
        large.job("x" * 100_000)
        small.job("x" * 5)
    assert caplog.records == []

    with caplog.at_level(logging.WARNING, logger="pgqueue.enqueue"):
        small.job("x" * 15)
    assert "args of small take 27 bytes, more than 20" in caplog.text

    for make in (small.job, lambda data: Job("small", {"data": data}), lambda data: Job("old_name", {"data": data})):
        make("x" * 28)
        with pytest.raises(InvalidJob, match=r"take 41 bytes; the limit is 40: store the data elsewhere"):
            make("x" * 29)
        with pytest.raises(InvalidJob, match=r"take 42 bytes; the limit is 40"):
            make("ü" * 15)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_bytes": 2_000_000}, "max_bytes 2000000 is out of range"),
        ({"max_bytes": 0}, "max_bytes 0 is out of range"),
        ({"max_bytes": None}, "max_bytes None is out of range"),
        ({"max_bytes": True}, "max_bytes True is out of range"),
        ({"warn_bytes": -1}, "warn_bytes -1 is out of range"),
        ({"warn_bytes": "64 KiB"}, "warn_bytes '64 KiB' is out of range"),
    ],
)
def test_sizes_that_cannot_work_are_refused(options, told):
    """The database's own limit is 1 MiB, for every client."""

    def charge() -> None: ...

    with pytest.raises(ConfigurationError, match=told):
        job(**options)(charge)


def test_arguments_of_any_depth_are_looked_through():
    """A search that ends in RecursionError would refuse what the database takes."""
    deep: list = ["x"]
    for _ in range(400):
        deep = [deep]

    assert said(lambda: Job("deep", {"data": deep})) == []
