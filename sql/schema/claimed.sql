-- A named type, as pgqueue.enqueued is: the twelve columns of a function's own, put together anew at every call, took a
-- twentieth of a pickup.
create type pgqueue.claimed as (
    id           bigint,
    claims       integer,
    queue        text,
    kind         text,
    args         jsonb,
    priority     smallint,
    attempt      smallint,
    max_attempts smallint,
    run_at       timestamptz,
    created_at   timestamptz,
    timeout      interval,
    meta         jsonb
);

comment on type pgqueue.claimed is 'A job that a worker took, as pgqueue.claim gives it.';
