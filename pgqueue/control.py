"""What a handler can say about its own job, beside that it is done or failed: raise it or return it.

    raise Retry(delay=60)              try again in a minute; the attempt counts
    raise Snooze(3600)                 start again in an hour; the attempt does not count
    raise Cancel("order withdrawn")    end as cancelled: nobody has to look at it
    raise Discard("no such account")   end as failed, a dead letter, whatever attempts are left

They are exceptions, so that they can be raised from deep inside, but no errors. Within `except Exception` let them
pass: `except Control: raise`.
"""

from __future__ import annotations

from typing import Any

from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.job import Seconds, seconds, show


class Control(Exception):
    """The base of all that a handler can say about its job. `reason` is kept with the job; None for none."""

    def __init__(self, reason: str | None = None) -> None:
        if reason is not None and not isinstance(reason, str):
            raise ConfigurationError(f"reason {show(reason)} of {type(self).__name__} is no text")
        super().__init__(*(() if reason is None else (reason,)))
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is: a handler in a process says it there, and it is heard here."""
        return _again, (type(self), self.args, vars(self))


class Retry(Control):
    """This attempt failed: try again, if attempts are left. It is recorded like any other failure.

    delay:   pause before the next attempt, seconds or timedelta; None: as the job's backoff says.
    reason:  its error; None: that of the error it was raised from, if any.
    """

    def __init__(self, delay: Seconds | None = None, reason: str | None = None) -> None:
        super().__init__(reason)
        self.delay = None if delay is None else _length("Retry", delay)
        """Seconds."""


class Snooze(Control):
    """Not now: start again later. No attempt is counted, so a job can wait for somebody else for as long as it takes.

    delay:   seconds or timedelta.
    reason:  shown as the job's error while it waits.
    """

    def __init__(self, delay: Seconds, reason: str | None = None) -> None:
        super().__init__(reason)
        self.delay = _length("Snooze", delay)
        """Seconds."""


class Cancel(Control):
    """There is nothing left to do: the job ends as cancelled.

    reason:  why, shown as the job's error; it must not be empty.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        if not reason:
            raise ConfigurationError("Cancel needs a reason, which is kept with the job: Cancel('order withdrawn')")


class Discard(Control):
    """It will never succeed: the job ends as failed, a dead letter, whatever attempts are left.

    reason:  its error; None: that of the error it was raised from, if any.
    """


def _again(kind: type[Control], args: tuple[Any, ...], values: dict[str, Any]) -> Control:
    control = kind.__new__(kind, *args)
    control.args = args
    vars(control).update(values)
    return control


def _length(what: str, delay: Seconds) -> float:
    try:
        return seconds(f"delay of {what}:", delay, zero=True)
    except InvalidJob as error:
        raise ConfigurationError(str(error)) from None
