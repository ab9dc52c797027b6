"""The one error of this package."""

from pgqueue.errors import QueueError


class EmbeddedError(QueueError):
    """A server of our own could not be found, started or reached.

    The message says what was tried, what happened (with the end of the server's log where there
    is one) and what to do about it. Nothing is left running.
    """


def tail(log: bytes, lines: int = 12) -> str:
    """The last `lines` lines of a log, indented, for the end of an error's message."""
    kept = log.decode(errors="replace").strip().splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in kept) or "    (the log is empty)"
