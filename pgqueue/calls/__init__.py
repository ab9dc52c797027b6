"""One value per SQL function: what to send, with what, and how to read the answer. No I/O here.

    Call(sql, params, read)

`sql` names its parameters `%(name)s`, as psycopg does; `connections` rewrites that for other drivers. Parameters of
the calls an application makes are numbers and text, cast in the SQL, since drivers disagree about everything else.
The calls a worker makes go through psycopg only and use its types.

    jobs       what applications call about jobs           workers    a worker's life, the leader's duties
    work       a worker's jobs, sleeping and waking        schedules, results, keys
"""

from typing import Final

from pgqueue.calls.call import Call, Row, received
from pgqueue.calls.jobs import Cancelling, cancel, enqueue, enqueue_many, retry
from pgqueue.calls.work import (
    ClaimedJob,
    abandon,
    cancel_asked,
    exchange,
    fail,
    finish_within,
    hold,
    next_run_at,
    once,
    park,
    recall,
    reconcile,
    release,
    set_aside,
    settled,
    snooze,
    unpark,
)
from pgqueue.calls.workers import (
    TAKE_UP,
    Beat,
    at_work,
    attach,
    end_session,
    forget_keys,
    forget_sleepers,
    heartbeat,
    leave,
    maintain,
    register,
    rescue,
    take_up,
    tidy,
)

SCHEMA_REVISION: Final = "0006"
"""Revision of the schema that this code speaks: the newest step in alembic/versions."""

__all__ = [
    "SCHEMA_REVISION",
    "TAKE_UP",
    "Beat",
    "Call",
    "Cancelling",
    "ClaimedJob",
    "Row",
    "abandon",
    "at_work",
    "attach",
    "cancel",
    "cancel_asked",
    "end_session",
    "enqueue",
    "enqueue_many",
    "exchange",
    "fail",
    "finish_within",
    "forget_keys",
    "forget_sleepers",
    "heartbeat",
    "hold",
    "leave",
    "maintain",
    "next_run_at",
    "once",
    "park",
    "recall",
    "received",
    "reconcile",
    "register",
    "release",
    "rescue",
    "retry",
    "schema_revision",
    "set_aside",
    "settled",
    "snooze",
    "take_up",
    "tidy",
    "unpark",
]


def schema_revision() -> Call[str | None]:
    """The revision of the schema in the database; None when its table is empty."""
    sql = "select v.version_num from pgqueue.alembic_version v"
    return Call(sql, {}, lambda rows: str(rows[0][0]) if rows else None)
