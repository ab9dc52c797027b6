create or replace function pgqueue.enqueue(
    kind         text,
    args         jsonb default '{}',
    queue        text default 'default',
    priority     integer default 5,
    run_at       timestamptz default null,
    delay        interval default null,
    max_attempts integer default 20,
    timeout      interval default null,
    out id       bigint,
    out created  boolean
)
language plpgsql
as $$
-- enqueue(kind, args, queue, priority, run_at, delay, max_attempts, timeout) → id, created
--
--   Adds one job to the caller's transaction: it exists when that commits and never did when it rolls back.
--
-- run_at    start no earlier than this; null: now. delay: the same, from now on. Not both.
-- timeout   longest run time of one attempt; null: as the handler says.
-- Raises    PQ001 when a value breaks a rule, with the value and the rule.
-- Writes    pgqueue.job: one row.
-- Called by applications; pgqueue/calls.py.
declare
    v_now constant timestamptz := clock_timestamp();
begin
    perform pgqueue.check_job(
        enqueue.kind, enqueue.args, enqueue.queue, enqueue.priority, enqueue.max_attempts, enqueue.timeout,
        enqueue.run_at, enqueue.delay
    );
    -- Not now(): rows of a long transaction must not sort before everything that was committed meanwhile.
    enqueue.run_at := coalesce(enqueue.run_at, v_now + coalesce(enqueue.delay, interval '0'));

    insert into pgqueue.job as j (kind, args, queue, priority, run_at, created_at, max_attempts, timeout)
    values (enqueue.kind, enqueue.args, enqueue.queue, enqueue.priority, enqueue.run_at, v_now, enqueue.max_attempts, enqueue.timeout)
    returning j.id into enqueue.id;

    perform pgqueue.wake(enqueue.queue, enqueue.run_at);
    created := true;
end;
$$;

comment on function pgqueue.enqueue(text, jsonb, text, integer, timestamptz, interval, integer, interval) is
    'Adds a job to your transaction: it exists when that commits and never did when it rolls back.';
