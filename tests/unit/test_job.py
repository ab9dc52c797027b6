"""Job: every rule is checked when it is made, far away from any transaction."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import Job, Queue, Secret, SecretWarning
from pgqueue.errors import InvalidJob
from pgqueue.job import MAX_ARGS_BYTES, seconds

NUL = "\0"


class Unprintable:
    """Its repr fails, as that of a half-made object may."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


BROKEN = [
    ({"queue": "a b"}, "'a b'", "a space; use 1 to 63 letters, digits"),
    ({"queue": ""}, "''", "is empty; use 1 to 63"),
    ({"queue": "q" * 64}, "qqq", "has 64 characters; use 1 to 63"),
    ({"queue": "mail\n"}, r"'mail\n'", r"has '\n'; use 1 to 63"),
    ({"queue": "straße"}, "'straße'", "has 'ß'; use 1 to 63"),
    ({"queue": "a:b"}, "'a:b'", "has ':'; use 1 to 63"),
    ({"queue": None}, "None", "is a NoneType, not a str"),
    ({"queue": b"mail"}, "b'mail'", "is a bytes, not a str"),
    ({"queue": Queue("mail")}, "Queue(name='mail'", "is a Queue, and a job takes the name: queue='mail'"),
    ({"queue": "q" * 5_000_000}, "qqq", "has 5000000 characters"),
    ({"kind": ""}, "''", "is empty; use 1 to 255"),
    ({"kind": "send mail"}, "'send mail'", "a space; use 1 to 255"),
    ({"kind": "k" * 256}, "kkk", "has 256 characters; use 1 to 255"),
    ({"kind": 'a"b'}, "'a\"b'", "use 1 to 255 letters, digits"),
    ({"priority": 12}, "12", "use 0 (first) to 9 (last)"),
    ({"priority": -1}, "-1", "use 0 (first) to 9 (last)"),
    ({"priority": True}, "True", "use 0 (first) to 9 (last)"),
    ({"priority": "3"}, "'3'", "use 0 (first) to 9 (last)"),
    ({"priority": 3.0}, "3.0", "use 0 (first) to 9 (last)"),
    ({"priority": 10**5000}, "huge int", "use 0 (first) to 9 (last)"),
    ({"max_attempts": 0}, "0", "use 1 to 32767"),
    ({"max_attempts": 32_768}, "32768", "use 1 to 32767"),
    ({"run_at": datetime(2030, 1, 1)}, "2030, 1, 1", "is naive"),  # noqa: DTZ001
    ({"run_at": "2030-01-01"}, "'2030-01-01'", "give an aware datetime"),
    ({"run_at": datetime.min.replace(tzinfo=UTC)}, "datetime(1, 1, 1", "use the years 1 to 9999"),
    ({"run_at": datetime.max.replace(tzinfo=UTC)}, "datetime(9999, 12, 31", "use the years 1 to 9999"),
    ({"run_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 5}, "delay 5", "give one"),
    ({"delay": -1}, "-1", "give seconds or a timedelta"),
    ({"delay": timedelta(seconds=-1)}, "timedelta(days=-1", "give seconds or a timedelta"),
    ({"delay": "5"}, "'5'", "give seconds or a timedelta"),
    ({"delay": True}, "True", "give seconds or a timedelta"),
    ({"delay": float("nan")}, "nan", "give seconds or a timedelta"),
    ({"delay": float("inf")}, "inf", "give seconds or a timedelta"),
    ({"timeout": 0}, "0", "positive length of time"),
    ({"timeout": timedelta()}, "timedelta(0)", "positive length of time"),
    ({"timeout": 1e-7}, "1e-07", "positive length of time"),
    ({"timeout": -3}, "-3", "positive length of time"),
    ({"args": [1]}, "a list", "give a dict"),
    ({"args": None}, "a NoneType", "give a dict"),
    ({"args": {1: "x"}}, "key 1, a int", "keys are argument names"),
    ({"args": {"when": object()}}, "when=<object object", "not JSON serializable"),
    ({"args": {"fine": 1, "deep": [{"x": {1, 2}}]}}, "deep=[{'x': {1, 2}}] (list)", "set is not JSON serializable"),
    ({"args": {"x": {(1, 2): 3}}}, "x={(1, 2): 3} (dict)", "keys must be str"),
    ({"args": {"rate": float("nan")}}, "rate=nan (float)", "no JSON"),
    ({"args": {"rate": [float("inf")]}}, "rate=[inf] (list)", "no JSON"),
    ({"args": {"note": f"a{NUL}b"}}, "args of noop", "U+0000"),
    ({"args": {"note": [{NUL: 1}]}}, "args of noop", "U+0000"),
    ({"args": {"note": f"\\{NUL}"}}, "args of noop", "U+0000"),
    ({"args": {"note": "\ud800"}}, r"note='\ud800' (str)", "surrogates not allowed"),
    ({"args": {"note": Unprintable()}}, "note=<Unprintable instance", "not JSON serializable"),
    ({"args": {"note": nested(20_000)}}, "note=[[[", "recursion"),
    ({"args": {"note": "y" * MAX_ARGS_BYTES}}, "1,048,588 bytes", "the limit is 1,048,576"),
    ({"args": {"note": "ß" * (MAX_ARGS_BYTES // 2)}}, "1,048,588 bytes", "the limit is 1,048,576"),
]

NAMES = [f"{next(iter(option))}-{number}" for number, (option, _, _) in enumerate(BROKEN)]


@pytest.mark.parametrize(("option", "value", "rule"), BROKEN, ids=NAMES)
def test_a_job_that_breaks_a_rule_is_refused_by_value_and_rule(option, value, rule):
    """Whoever reads the message must not need the documentation to mend the call."""
    with pytest.raises(InvalidJob) as refused:
        Job(**{"kind": "noop", **option})

    assert value in str(refused.value)
    assert rule in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "option",
    [
        {"queue": "Q.1_a-b"},
        {"queue": "q" * 63},
        {"kind": "my.app:Kind_1-b"},
        {"kind": "k" * 255},
        {"priority": 0},
        {"priority": 9},
        {"max_attempts": 1},
        {"max_attempts": 32_767},
        {"delay": 0},
        {"delay": 1e-9},
        {"delay": timedelta(days=1)},
        {"timeout": 1e-6},
        {"run_at": datetime(1, 1, 2, tzinfo=UTC)},
        {"args": {"note": r"\u0000"}},
        {"args": {"note": "😀"}},
        {"args": {"note": "y" * (MAX_ARGS_BYTES - len('{"note": ""}'))}},
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_is_just_within_a_rule_is_taken(option):
    """A rule that is off by one would turn away an honest job."""
    assert Job(**{"kind": "noop", **option})


def test_the_payload_is_what_the_arguments_were_when_the_job_was_made():
    """A list that goes on changing afterwards must not change the job."""
    items = [1, 2]
    job = Job("noop", {"items": items})
    items.append(3)

    assert json.loads(job.payload) == {"items": [1, 2]}


def test_options_gives_a_new_job_and_checks_it():
    """The one way to depart from a task's defaults must not be a way round the rules."""
    job = Job("noop", {"x": 1})
    urgent = job.options(priority=0, delay=60)

    assert (urgent.kind, urgent.args, urgent.priority, urgent.delay) == ("noop", {"x": 1}, 0, 60)
    assert job == Job("noop", {"x": 1})
    with pytest.raises(InvalidJob, match="priority 10"):
        job.options(priority=10)


def test_equal_jobs_are_one_in_a_set():
    """Frozen values are expected to be hashable, arguments or not."""
    assert {Job("noop", {"x": [1]}), Job("noop", {"x": [1]})} == {Job("noop", {"x": [1]})}


@pytest.mark.parametrize(("length", "expected"), [(2, 2.0), (0.25, 0.25), (timedelta(minutes=1), 60.0)])
def test_a_length_of_time_is_seconds_or_a_timedelta(length, expected):
    """Both are what people hold in their hands."""
    assert seconds("delay", length) == expected


def test_a_job_shows_itself_without_secrets():
    """It ends up in a producer's log, or in the traceback of a failed test."""
    with pytest.warns(SecretWarning, match="argument password of login"):
        made = Job("login", {"user": "ada", "password": "hunter2", "pin": {"$secret": 1234}, "code": Secret("abc")})

    assert "args={'user': 'ada', 'password': '***', 'pin': '***', 'code': ***}" in repr(made)


def test_a_secret_in_the_arguments_of_a_bare_job_is_stored_as_one():
    """A producer without the handler's code."""
    assert Job("login", {"code": Secret("abc")}).payload == '{"code": {"$secret": "abc"}}'


def test_a_refused_argument_is_told_without_its_secret():
    """The refusal is logged, as all errors are."""
    with pytest.raises(InvalidJob, match=r"password=\*\*\* \(set\)") as refused:
        Job("login", {"password": {"hunter2"}})
    assert "hunter2" not in str(refused.value)


def test_a_moment_replaces_the_length_of_time_that_said_the_same():
    """What a handler says of all its jobs must not keep one from having another moment."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    late = Job("mail", delay=60, expires_in=600)

    changed = late.options(run_at=moment, expires_at=moment + timedelta(days=1))
    back = changed.options(delay=5, expires_in=50)

    assert (changed.run_at, changed.delay, changed.expires_in) == (moment, None, None)
    assert (back.run_at, back.delay, back.expires_at, back.expires_in) == (None, 5, None, 50)
    assert late.options(run_at=None, priority=1).delay == 60
    with pytest.raises(InvalidJob, match="give one"):
        late.options(run_at=moment, delay=5)


def test_an_option_that_a_job_does_not_have_is_refused_with_those_it_has():
    """`backoff` is the handler's: the message says where it goes."""
    with pytest.raises(TypeError, match=r"mail: a job has no option backoff, nope; it has queue, .*in @job\(…\)"):
        Job("mail").options(backoff=5, nope=1)
