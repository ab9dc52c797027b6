create or replace function pgqueue.enqueue(
    kind         anycompatible,
    args         jsonb default '{}',
    queue        text default 'default',
    priority     integer default 5,
    run_at       timestamptz default null,
    delay        interval default null,
    max_attempts integer default 20,
    timeout      interval default null,
    meta         jsonb default null,
    expires_at   timestamptz default null,
    expires_in   interval default null,
    unique_key   text default null,
    unique_scope text default null,
    unique_until text default null,
    unique_for   interval default null,
    on_conflict  text default null
)
returns pgqueue.enqueued
language plpgsql
as $$
-- enqueue(kind, args, queue, …) → id, created
--
--   Adds one job to the caller's transaction: it exists when that commits and never did when it rolls back.
--
--   Every transaction pays for what it executes here, some of it as much as for the insert, so there is one expression
--   that lets a good job pass and one statement that inserts it and asks whether anybody sleeps, as pgqueue.wake does.
--   What is seldom, and what is wrong, is left to pgqueue.check_job, pgqueue.enqueue_unique and pgqueue.wake. For the
--   caller `select pgqueue.enqueue(…)` is cheaper than `select * from pgqueue.enqueue(…)`, which keeps the one row in a
--   tuple store first. A call with nothing but kind and args goes to the function of those two, see enqueue_plain.sql.
--
-- kind      a text of any type; anything else fails at the first look. Its declared type only keeps this function out of
--           the way of the other.
-- run_at    start no earlier than this; null: now. delay: the same, from now on. Not both.
-- timeout   longest run time of one attempt; null: as the handler says.
-- meta      what else its handler is told, a JSON object; null for nothing.
-- expires_* no attempt starts after this; in: so long after it may start. Not both. Null: never.
-- unique_*, on_conflict  see pgqueue.enqueue_unique; with a key that another job holds no job is added.
-- Returns   created: false when another job holds the key; id is then that job's.
-- Raises    PQ001 when a value breaks a rule, with the value and the rule.
-- Writes    pgqueue.job: one row. With a key as pgqueue.enqueue_unique.
-- Locks     as pgqueue.wake.
-- Called by applications; pgqueue.enqueue_each, enqueue_plain; pgqueue/calls/jobs.py.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_added pgqueue.enqueued;
begin
    if (
        pgqueue.is_kind(kind) and pgqueue.is_queue(queue) and pgqueue.are_args(args)
        and priority between 0 and 9 and max_attempts between 1 and 32767
        and num_nulls(
            run_at, delay, timeout, meta, expires_at, expires_in, unique_key, unique_scope, unique_until, unique_for, on_conflict
        ) = 11
    ) is not true then
        perform pgqueue.check_job(
            kind, args, queue, priority, max_attempts, timeout, run_at, delay, meta, expires_at, expires_in
        );
        run_at := coalesce(run_at, v_now + delay, v_now);
        expires_at := coalesce(expires_at, run_at + expires_in);
        if num_nulls(unique_key, unique_scope, unique_until, unique_for, on_conflict) < 5 then
            select u.id, u.created into v_added
            from pgqueue.enqueue_unique(
                kind, args, queue, priority, run_at, max_attempts, timeout, meta, expires_at,
                unique_key, unique_scope, unique_until, unique_for, on_conflict
            ) u;
            return v_added;
        end if;
    end if;

    -- Not now(): rows of a long transaction must not sort before everything that was committed meanwhile.
    insert into pgqueue.job as j (kind, args, queue, priority, run_at, created_at, max_attempts, timeout, meta, expires_at)
    values (
        enqueue.kind, enqueue.args, enqueue.queue, enqueue.priority, coalesce(enqueue.run_at, v_now), v_now,
        enqueue.max_attempts, enqueue.timeout, enqueue.meta, enqueue.expires_at
    )
    returning j.id, pgqueue.nobody_sleeps(j.queue) into v_added;

    if not v_added.created then                           -- here: whether nobody sleeps
        perform pgqueue.wake(queue, run_at);
        v_added.created := true;
    end if;
    return v_added;
end;
$$;

comment on function pgqueue.enqueue(
    anycompatible, jsonb, text, integer, timestamptz, interval, integer, interval, jsonb, timestamptz, interval, text, text, text,
    interval, text
) is 'Adds a job to your transaction: it exists when that commits and never did when it rolls back.';
