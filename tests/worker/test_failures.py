"""Which failures are retried, what each leaves on record, and what a server's Retry-After does."""

import asyncio
import io
import urllib.error
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from pgqueue import enqueue, job
from pgqueue.errors import JobTimeout
from tests.sql.verbs import row, rows, value, values
from tests.worker.working import attempts, drain, states

pytestmark = pytest.mark.integration


class Declined(Exception):
    """The bank said no."""


class Stolen(Declined):
    """And will always say no."""


def raising(error, **options):
    """A task that raises it."""

    @job(**options)
    async def raises():
        raise error

    return raises


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"retry_on": ConnectionError}, ConnectionResetError(), "scheduled"),
        ({"retry_on": ConnectionError}, ValueError(), "failed"),
        ({"retry_on": (ConnectionError, TimeoutError)}, TimeoutError(), "scheduled"),
        ({"retry_on": []}, ValueError(), "failed"),
        ({"give_up_on": [Stolen]}, Stolen(), "failed"),
        ({"give_up_on": [Stolen]}, Declined(), "scheduled"),
        ({"retry_on": Declined, "give_up_on": Stolen}, Stolen(), "failed"),
        ({"retry_on": lambda error: "later" in str(error)}, Declined("later"), "scheduled"),
        ({"retry_on": lambda error: "later" in str(error)}, Declined("never"), "failed"),
        ({"give_up_on": lambda error: error.no_such_attribute}, Declined(), "scheduled"),
        ({"retry_on": ConnectionError}, ExceptionGroup("two", [ConnectionError(), ConnectionError()]), "scheduled"),
        ({"retry_on": ConnectionError}, ExceptionGroup("two", [ConnectionError(), ValueError()]), "failed"),
        ({"give_up_on": Stolen}, ExceptionGroup("two", [ConnectionError(), Stolen()]), "failed"),
        ({"retry_on": ConnectionError}, asyncio.CancelledError(), "failed"),
    ],
)
async def test_only_the_errors_that_were_named_are_retried(dsn, db, options, error, expected):
    """An error that no waiting mends becomes a dead letter at once, and costs the other side nothing more."""
    id = enqueue(db, raising(error, **options).job()).id

    await drain(dsn)

    assert states(db) == [expected]
    assert len(attempts(db, id)) == 1


@pytest.mark.parametrize(("retry_on", "expected"), [(ConnectionError, "failed"), (JobTimeout, "scheduled")])
async def test_a_timeout_is_an_error_like_any_other(dsn, db, retry_on, expected):
    """Only what is named: to retry timeouts, name JobTimeout."""

    @job(timeout=0.05, retry_on=retry_on)
    async def hangs():
        await asyncio.sleep(60)

    enqueue(db, hangs.job())

    await drain(dsn)

    assert states(db) == [expected]


def pauses(db):
    """Of all waiting jobs, seconds from their failure to their next attempt."""
    return values(
        db,
        """select extract(epoch from j.run_at - a.finished_at)::float
           from pgqueue.job j join pgqueue.attempt a on a.job = j.id""",
    )


@pytest.mark.parametrize(
    ("backoff", "shortest", "longest"),
    [
        (100, 90, 100),
        (timedelta(minutes=1), 54, 60),
        (lambda attempt: 100 * attempt, 90, 100),
        (lambda attempt, error: error.seconds, 630, 700),
        (lambda attempt: timedelta(minutes=1), 54, 60),
        (lambda attempt: attempt.no_such, 0.5, 1),
        (lambda attempt: float("nan"), 0.5, 1),
        (lambda attempt: "soon", 0.5, 1),
        (lambda attempt: None, 0.5, 1),
        (lambda attempt: -5, 0.5, 1),
        (lambda attempt: 1e300, 3e8, 4e8),
        (SimpleNamespace(pause=lambda attempt: 100), 100, 100),
    ],
)
async def test_the_pause_may_be_fixed_or_a_function_and_is_jittered(dsn, db, backoff, shortest, longest):
    """One that fails, or says nothing sensible, falls back to the default and takes nobody along."""
    error = Declined("later")
    error.seconds = 700
    enqueue(db, raising(error, backoff=backoff).job())

    await drain(dsn)

    (pause,) = pauses(db)
    assert shortest <= pause <= longest


async def test_fixed_pauses_are_jittered_too(dsn, db):
    """Jobs that failed together in an outage must not all come back together, whatever the pause."""
    task = raising(Declined(), backoff=1000)
    for _ in range(20):
        enqueue(db, task.job())

    await drain(dsn)

    assert len(set(pauses(db))) == 20


def response(status, **headers):
    """As httpx and requests have them: headers whose names have no case."""
    return SimpleNamespace(status_code=status, headers={name.replace("_", "-"): told for name, told in headers.items()})


class HTTPStatusError(Exception):
    """As httpx and requests raise it."""

    def __init__(self, response):
        super().__init__("slow down")
        self.response = response


class ClientResponseError(Exception):
    """As aiohttp raises it."""

    def __init__(self, status, headers):
        super().__init__("slow down")
        self.status, self.headers = status, headers


def of_urllib(status, value):
    headers = Message()
    headers["Retry-After"] = value
    return urllib.error.HTTPError("http://localhost", status, "slow down", headers, io.BytesIO())


ASKED = {
    "httpx": lambda value: HTTPStatusError(response(429, retry_after=value)),
    "requests": lambda value: HTTPStatusError(response(503, Retry_After=value)),
    "aiohttp": lambda value: ClientResponseError(429, {"Retry-After": value}),
    "urllib": lambda value: of_urllib(503, value),
}


@pytest.mark.parametrize("client", ASKED)
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_servers_retry_after_is_honoured_without_using_an_attempt(dsn, db, client, form):
    """It said when it will answer: to come earlier is rude, to give up because of it wrong. One attempt suffices."""
    asked = "1000" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    error = ASKED[client](asked)
    enqueue(db, raising(error, max_attempts=1).job())

    await drain(dsn)

    waiting = row(db, "select state, attempt, error, run_at - clock_timestamp() as pause from pgqueue.jobs")
    assert (waiting.state, waiting.attempt) == ("scheduled", 0)
    assert timedelta(seconds=900) < waiting.pause <= timedelta(seconds=1000)
    assert waiting.error.startswith("Retry-After: ")
    assert "slow down" in waiting.error
    assert value(db, "select count(*) from pgqueue.attempt") == 0


@pytest.mark.parametrize(
    ("asked", "shortest", "longest"),
    [("0", 0.2, 1), ("99999999999999999999999999", 3500, 3600), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.2, 1)],
    ids=["at once", "for ever", "in the past"],
)
async def test_the_pause_asked_for_has_bounds(dsn, db, asked, shortest, longest):
    """Neither a loop without an end nor a job that is gone for years, whatever a server says."""
    enqueue(db, raising(ASKED["httpx"](asked)).job())

    await drain(dsn, max_jobs=1)

    assert shortest <= value(db, "select extract(epoch from run_at - clock_timestamp()) from pgqueue.job") <= longest


class Broken(Exception):
    """Whose response cannot be read, as that of some clients when there was none."""

    @property
    def response(self):
        raise RuntimeError("no response")


@pytest.mark.parametrize(
    "error",
    [
        HTTPStatusError(response(500, Retry_After="1000")),
        HTTPStatusError(response(429)),
        HTTPStatusError(response(429, Retry_After="soon")),
        HTTPStatusError(response(429, Retry_After="-5")),
        HTTPStatusError(None),
        Broken("no response"),
    ],
    ids=["another status", "no header", "no time", "negative", "no response", "broken"],
)
async def test_what_asks_for_no_pause_is_a_failure_like_any_other(dsn, db, error):
    """It counts, and the backoff decides."""
    id = enqueue(db, raising(error, backoff=100).job()).id

    await drain(dsn)

    assert len(attempts(db, id)) == 1
    assert 80 < pauses(db)[0] <= 100


async def test_who_gives_up_on_the_error_does_not_wait(dsn, db):
    """What the handler's author said comes before what a server says."""
    enqueue(db, raising(ASKED["httpx"]("1000"), give_up_on=HTTPStatusError).job())

    await drain(dsn)

    assert states(db) == ["failed"]


async def test_every_attempt_is_kept_with_all_that_is_known_of_it(dsn, db):
    """Not only the last: the first often tells most."""

    @job(max_attempts=3, backoff=0)
    async def fails(number: int):
        raise ValueError(f"{number}: attempt {value(db, 'select count(*) from pgqueue.attempt') + 1}")

    id = enqueue(db, fails.job(7)).id

    await drain(dsn)

    kept = rows(db, "select * from pgqueue.attempt where job = %s order by claims", [id])
    assert [each.error for each in kept] == [f"ValueError: 7: attempt {number}" for number in (1, 2, 3)]
    for each in kept:
        assert "in fails" in each.traceback
        assert each.worker == value(db, "select id from pgqueue.workers")
        assert each.started_at <= each.finished_at
    assert len({each.fingerprint for each in kept}) == 1


async def test_a_fingerprint_tells_places_and_types_apart_and_nothing_else(dsn, db):
    """So that `group by fingerprint` counts bugs."""

    def here(message):
        raise ValueError(message)

    def there(message):
        raise ValueError(message)

    @job(max_attempts=1)
    def fails(how: str):
        match how:
            case "here":
                here(how)
            case "here again":
                here("another message from another line")
            case "deep":
                deep(0)
            case "deeper":
                deep(700)
            case "there":
                there(how)
            case "library":
                int("x")

    def deep(depth):
        deep(depth - 1) if depth else here("deep")

    hows = ["here", "here again", "there", "library", "deep", "deeper"]
    for how in hows:
        enqueue(db, fails.job(how))

    await drain(dsn)

    mark = dict(zip(hows, values(db, "select fingerprint from pgqueue.attempt order by job"), strict=True))
    assert mark["here"] == mark["here again"]
    assert mark["deep"] == mark["deeper"]
    assert len(set(mark.values())) == 4


async def test_what_was_stopped_from_outside_has_a_fingerprint_of_its_type(dsn, db):
    """There is no place in the code: neither for a timeout nor for a worker that died."""

    @job(timeout=0.05, max_attempts=1)
    async def hangs():
        await asyncio.sleep(60)

    enqueue(db, hangs.job())

    await drain(dsn)

    assert value(db, "select fingerprint = left(md5('JobTimeout'), 16) from pgqueue.attempt") is True
