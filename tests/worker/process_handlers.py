"""Handlers for test_process.py: a child process imports this module."""

import contextvars
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pgqueue import JobContext, Secret, job, lifespan, middleware
from pgqueue.control import Cancel, Discard, Retry, Snooze

tenant = contextvars.ContextVar("tenant", default="nobody")
log = logging.getLogger("shop")


class NotPlain(Exception):
    """Cannot be unpickled: its arguments are not what it is made of."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@lifespan(process=True)
def model() -> Iterator[str]:
    """Made once in each child."""
    yield f"model of {os.getpid()}"
    if "PGQUEUE_TEST_ENDED" in os.environ:
        Path(os.environ["PGQUEUE_TEST_ENDED"]).write_text("ended")


@middleware
def tenancy(ctx: JobContext) -> Iterator[None]:
    """Runs where the handler runs."""
    tenant.set(ctx.meta.get("tenant", "none given"))
    yield


@job(executor="process", max_attempts=1)
def tells_its_pid() -> int:
    return os.getpid()


@job(executor="process", max_attempts=1, recycle=2)
def short_lived() -> int:
    return os.getpid()


@job(executor="process", max_attempts=1)
def hangs_in_process(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:  # never waits: no signal handler in Python would run in C code either
        time.sleep(0.01)


@job(executor="process", max_attempts=1)
def hangs_with_a_child(path: str) -> None:
    started = subprocess.Popen(["sleep", "600"])
    Path(path).write_text(str(started.pid))
    started.wait()


@job(executor="process", max_attempts=1)
def returns_much(size: int) -> str:
    return "x" * size


@job(executor="process", max_attempts=1, memory=64 * 1_048_576)
def takes_memory(size: int) -> int:
    return len(bytearray(size))


@job(executor="process", max_attempts=1)
def fails_in_process(how: str) -> object:
    match how:
        case "plainly":
            raise ValueError("no such customer")
        case "unpicklable":
            raise NotPlain(1, 2)
        case "exit":
            sys.exit(3)
        case "_exit":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "unstorable":
            return object()
    return None


@job(executor="process", max_attempts=1)
def tells_all(ctx: JobContext) -> list[object]:
    print("printed by a handler", flush=True)
    log.warning("logged by a handler %s", 42)
    ctx.log.info("said by a handler")
    ctx.log("kept by a handler")
    ctx.progress(0.5, "half way")
    try:
        ctx.once("step")
        once = "took it"
    except Exception as error:
        once = str(error)
    return [ctx.id, ctx.attempt, ctx.deadline is not None, tenant.get(), ctx.resources.model, once]


@job(executor="process", max_attempts=1)
def tells_when(ctx: JobContext) -> list[str]:
    return [str(ctx.run_at), str(ctx.created_at)]


@job(executor="process", max_attempts=1)
def tells_a_secret(ctx: JobContext, door: Secret[str]) -> None:
    ctx.log(f"kept: {door.reveal()}")
    ctx.log.warning("given: %s", door.reveal())
    ctx.progress(0.5, f"with {door.reveal()}")


@job(executor="process", max_attempts=3)
def says(what: str) -> object:
    match what:
        case "snooze":
            raise Snooze(3600, "closed at night")
        case "retry":
            try:
                raise KeyError("account")
            except KeyError:
                raise Retry(delay=3600)  # noqa: B904
        case "cancel":
            return Cancel("order withdrawn")
    raise Discard("no such account")


TASKS = [
    says,
    tells_when,
    tells_its_pid,
    short_lived,
    hangs_in_process,
    hangs_with_a_child,
    returns_much,
    takes_memory,
    fails_in_process,
    tells_all,
    tells_a_secret,
]
