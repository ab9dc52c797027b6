"""Secrets of a job: its handler has them, and nothing that is written about the job shows them."""

import json
import logging
from urllib.parse import quote

import pytest

from pgqueue import Batch, JobContext, Secret, SecretWarning, enqueue, enqueue_many, job
from pgqueue.worker.hiding import clean
from tests.sql.verbs import enqueue as enqueue_in_sql
from tests.sql.verbs import row, rows, value
from tests.worker.working import drain

pytestmark = pytest.mark.integration

PASSWORD = "hunter2-höher\"'"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIB\nVAIB\n-----END PRIVATE KEY-----"


def told(db):
    """Everything that an operator may read about jobs, as one text."""
    shown = [str(one) for one in rows(db, "select v::text as v from pgqueue.jobs v")]
    shown += [str(one) for one in rows(db, "select a.error, a.traceback from pgqueue.attempt a")]
    shown += [str(one) for one in rows(db, "select a.error from pgqueue.job_archive a")]
    return "\n".join(shown)


async def test_a_handler_gets_the_secret_and_the_listing_does_not_show_it(dsn, db):
    """The way it is meant to be."""
    seen = []

    @job
    async def login(user: str, password: Secret[str]):
        seen.append(password)

    enqueue(db, login.job("ada", Secret(PASSWORD)))
    enqueue(db, login.job("eve", Secret("x")))

    await drain(dsn)

    assert seen == [Secret(PASSWORD), Secret("x")]
    assert "hunter2" not in told(db)


async def test_no_error_traceback_or_log_line_shows_a_secret(dsn, db, caplog):
    """An exception tells what it was given, in quotes, as JSON, in a URL, or over several lines."""
    caplog.set_level(logging.DEBUG)

    @job(max_attempts=1)
    async def login(
        user: str, password: Secret[str], key: Secret[str], pin: Secret[int], raw: Secret[bytes], token: str
    ):
        secret = password.reveal()
        texts = [secret, repr(secret), json.dumps({"p": secret}), f"https://x:{quote(secret)}@y", key.reveal()]
        try:
            raise ValueError(f"first: {secret}")
        except ValueError as error:
            raise RuntimeError(*texts, pin.reveal(), raw.reveal(), token, f"{user} was here") from error

    secrets = (Secret(PASSWORD), Secret(KEY), Secret(471147), Secret(b"\xffraw-bytes"))
    with pytest.warns(SecretWarning, match="argument token"):
        made = login.job("ada", *secrets, token="plain-token")
    enqueue(db, made)

    await drain(dsn)

    shown = told(db) + caplog.text + "".join(str(vars(one)) for one in caplog.records)
    for secret in ("hunter2", "MIIB", "471147", "raw-bytes", "plain-token"):
        assert secret not in shown, secret
    assert "ada was here" in shown
    assert "RuntimeError" in value(db, "select error from pgqueue.jobs")
    assert "first: ***" in value(db, "select traceback from pgqueue.attempt")
    stored = value(db, "select args from pgqueue.job_archive")
    assert stored["password"] == {"$secret": PASSWORD}
    assert stored["token"] == "plain-token"


async def test_a_bare_value_for_a_secret_is_hidden_too(dsn, db):
    """A producer in SQL, or the job of before the parameter became a Secret. The listing cannot know its name."""

    @job(max_attempts=1)
    async def unlock(door: Secret[str]):
        raise ValueError(f"no door opens with {door.reveal()}")

    db.execute("""select pgqueue.enqueue('unlock', '{"door": "open-sesame"}')""")

    await drain(dsn)

    assert row(db, "select error from pgqueue.jobs").error == "ValueError: no door opens with ***"


async def test_arguments_that_do_not_fit_are_told_without_their_secrets(dsn, db):
    """The message names the value that was wrong; not this one."""

    @job(max_attempts=1)
    async def login(user: str, password: str, pin: Secret[int]): ...

    args = {"user": {"a": 1, "token": "t-t-t-t"}, "password": 123456, "pin": "abcdef"}
    enqueue_in_sql(db, "login", args=args)

    await drain(dsn)

    error = row(db, "select error from pgqueue.jobs").error
    assert "user: Input should be a valid string" in error
    assert "password: Input should be a valid string (got ***)" in error
    assert "pin: within the Secret: Input should be a valid integer" in error
    for secret in ("t-t-t-t", "123456", "abcdef"):
        assert secret not in error


async def test_a_result_that_cannot_be_stored_is_told_without_secrets(dsn, db):
    """The refusal quotes the value."""

    class Session:
        def __init__(self, token):
            self.token = token

        def __repr__(self):
            return f"Session({self.token})"

    @job
    async def login(context: JobContext, secret: Secret[str]):
        return {Session(secret.reveal()): 1}

    enqueue(db, login.job(Secret("hunter2-again")))

    await drain(dsn)

    assert value(db, "select state from pgqueue.jobs") == "failed"
    assert "hunter2" not in told(db)


async def test_what_a_handler_says_of_itself_is_kept_without_secrets(dsn, db, caplog):
    """By ctx.log, its methods, and ctx.progress: the lines that are easiest to write while looking for a fault."""
    caplog.set_level(logging.DEBUG)

    @job
    async def login(context: JobContext, password: Secret[str]):
        secret = password.reveal()
        context.progress(0.5, f"with {secret}")
        context.log(f"kept: {secret} at 100%")
        context.log.info("given: %s and %(nothing", secret)
        context.log.warning("given: %s", secret)
        try:
            raise ValueError(f"raised: {secret}")
        except ValueError:
            context.log.exception("failed")

    @job
    async def plain(context: JobContext):
        try:
            raise ValueError("shown")
        except ValueError as error:
            context.log.error("failed", exc_info=error)

    enqueue(db, login.job(Secret("hunter2-again")))
    enqueue(db, plain.job())

    await drain(dsn)

    said = caplog.text + "".join(str(vars(one)) for one in caplog.records)
    assert "hunter2" not in said
    assert all(text in said for text in ("kept: *** at 100%", "given: ***", "raised: ***", "ValueError: shown"))
    assert "hunter2" not in str(rows(db, "select l::text from pgqueue.job_log l"))
    assert "hunter2" not in told(db)
    assert [one for one in caplog.records if one.exc_info]  # of a job without secrets, as it was


async def test_what_a_batch_says_of_itself_is_kept_with_its_first_job_without_the_secrets_of_any(dsn, db, caplog):
    """Whoever handles a hundred at once writes of all of them."""
    caplog.set_level(logging.DEBUG)

    @job(batch=10)
    async def unlock(context: JobContext, doors: Batch[Secret[str]]):
        for door in doors:
            context.log(f"kept: {door.args.reveal()}")
            context.log.info("given: %s", door.args.reveal())
            context.progress(0.5, f"at {door.args.reveal()}")

    first, *_ = enqueue_many(db, [unlock.job(Secret(f"hunter{number}-secret")) for number in range(3)])

    await drain(dsn, queues={"default": 1})

    assert "-secret" not in caplog.text + "".join(str(vars(one)) for one in caplog.records)
    assert [tuple(one) for one in rows(db, "select job, text from pgqueue.job_logs")] == [(first.id, "kept: ***")] * 3
    shown = rows(db, "select progress_message from pgqueue.jobs order by id")
    assert [one.progress_message for one in shown] == ["at ***", None, None]


def test_a_secret_that_was_cut_off_is_hidden_as_well():
    """Texts have a greatest length, and half a password is half a leak."""
    found = {"hunter2-and-more", "hunter2-and-less"}

    assert clean("… with hunter2-and-m", found) == "… with ***"
    assert clean("and-less was given", found) == "*** was given"
    assert clean("-and-less, hunter2-and-more, hunter2-a", found) == "***, ***, ***"
    assert clean("the hunter2 of the and", found) == "the hunter2 of the and"
    assert clean("hunt", found) == "***"
    assert clean("hun", found) == "hun"
    assert clean("", found) == ""
