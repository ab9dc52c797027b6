"""One worker process of the fleet: python -m tests.chaos.worker DSN NAME."""

import sys

from pgqueue.worker import WorkerOptions, logs, run
from tests.chaos import handlers

GRACE_SECONDS = 1.0
"""Less than the longer handlers take, so that some are given back."""
SLOTS = {"default": 12, "other": 6}


def main(dsn: str, name: str) -> int:
    assert handlers.quick
    logs.setup("text")
    return run(dsn, WorkerOptions(queues=SLOTS, grace=GRACE_SECONDS, name=name, poll=5))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
