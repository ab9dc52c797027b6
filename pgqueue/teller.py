"""What a running job says of itself: `ctx.progress(…)` and `ctx.log(…)`, and where it goes."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from pgqueue.errors import InvalidReport
from pgqueue.job import show

LEVELS: Final = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}

_making = threading.Lock()


class Teller(Protocol):
    """Where the words of one attempt go. Used from any thread; trouble with the database does not come back here."""

    def progress(self, fraction: float, message: str | None) -> None:
        """How far it has come, from 0 to 1, and what it is doing."""

    def line(self, level: str, text: str) -> bool:
        """A line for the job's log. False when there were too many: it is dropped, and counted."""


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """`JobContext.log`: its lines carry the job's id, kind and attempt.

    teller:  makes the place for what is kept with the job, at the first word; None where nothing is kept.
    hiding:  makes what takes the job's secrets out of a text, at the first word; it is None for a job without.
    """

    def __init__(
        self,
        logger: logging.Logger,
        extra: Mapping[str, object],
        teller: Callable[[], Teller] | None = None,
        hiding: Callable[[], Callable[[str], str] | None] | None = None,
    ) -> None:
        super().__init__(logger, extra)
        self._hiding = hiding
        self._hide: Callable[[str], str] | None = None
        self._make = teller
        self._teller: Teller | None = None

    def __call__(self, text: object, level: str | int = "info") -> None:
        """Keeps a line with the job, and writes it to the worker's log.

        text:   beyond 2,000 characters it is cut off. Of more than 50 calls a second, or 10,000 in an attempt, only the
                number is kept.
        level:  debug, info, warning, error or critical, or its number.

        Raises `InvalidReport` for a level that does not exist.
        """
        number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
        if not isinstance(number, int) or number not in LEVELS:
            raise InvalidReport(f"log level {show(level)} does not exist; use {', '.join(LEVELS.values())}")
        line = self._clean(str(text))
        if self.teller is None or self.teller.line(LEVELS[number], line):
            self.log(number, "%s", line)

    def progress(self, fraction: float, message: str | None) -> None:
        """As `JobContext.progress`."""
        number = not isinstance(fraction, bool) and isinstance(fraction, float | int)
        if not number or not 0 <= fraction <= 1:  # which a NaN is not
            raise InvalidReport(f"progress {show(fraction)} is out of range; give a number from 0 to 1")
        if message is not None and not isinstance(message, str):
            raise InvalidReport(f"the message of progress {show(message)} is a {type(message).__name__}; give a str")
        if self.teller is not None:
            self.teller.progress(float(fraction), None if message is None else self._clean(message))

    @property
    def teller(self) -> Teller | None:
        """Where what is kept goes."""
        if self._teller is None and self._make is not None:
            with _making:  # two threads of one handler must not begin two pages
                self._teller = self._teller or self._make()
        return self._teller

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """As any logger's, without the job's secrets in the message and the traceback that goes with it."""
        if not self.isEnabledFor(level):
            return
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        if self._hides() is not None:
            error = kwargs.pop("exc_info", None)
            try:
                text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
            except Exception:  # a wrong format: its parts as they are
                text = f"{msg} {args}"
            if isinstance(error, BaseException):
                text += "\n" + "".join(traceback.format_exception(error)).rstrip()
            elif error:
                text += (
                    "\n" + "".join(traceback.format_exception(*(sys.exc_info() if error is True else error))).rstrip()
                )
            msg, args = "%s", (self._clean(text),)
        super().log(level, msg, *args, **kwargs)

    def _hides(self) -> Callable[[str], str] | None:
        """What takes the job's secrets out; None for a job without."""
        if self._hiding is not None:
            self._hide, self._hiding = self._hiding(), None
        return self._hide

    def _clean(self, text: str) -> str:
        hide = self._hides()
        return text if hide is None else hide(text)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {"fields": {**(self.extra or {}), **(kwargs.get("extra") or {})}}
        return msg, kwargs
