create or replace function pgqueue.schedule(
    name         text,
    kind         text,
    args         jsonb default '{}',
    cron         text default null,
    every        interval default null,
    tz           text default 'UTC',
    queue        text default 'default',
    options      jsonb default '{}',
    start_at     timestamptz default null,
    end_at       timestamptz default null,
    max_runs     integer default null,
    jitter       interval default null,
    missed       integer default 1,
    overlap      text default 'allow',
    any_kind     boolean default false,
    first_run_at timestamptz default null,
    out created  boolean,
    out next_run_at timestamptz
)
language plpgsql
as $$
-- schedule(name, kind, args, cron or every, …) → created, next_run_at
--
--   Makes the schedule of that name, or changes the one there is: never a second. What is not given is as by default.
--   If its time stays the same, so does next_run_at; a pause stays in any case.
--
-- cron, every   a cron expression, or the time between two runs. One of them.
-- options       more options of its jobs, as in pgqueue.enqueue_many: {"priority": 0, "max_attempts": 3}.
-- start_at      no run before it; an interval is counted from it. Null: the first run comes one interval from now.
-- missed        of the moments that came while nobody was running: 0 skips them, 1 makes up for the last, n for the last n.
-- overlap       while the run before is not over: allow, skip, or queue.
-- any_kind      do not ask whether a running worker knows the kind.
-- first_run_at  the first moment of the expression if the caller has worked it out; null: the owner does, at once.
-- Raises        PQ020 when a value breaks a rule, with the value and the rule. What is wrong inside an expression is
--               found by the owner, and is then in pgqueue.schedules.error.
-- Writes        pgqueue.schedule: one row. Sends a notification on channel pgqueue_schedule.
-- Called by     applications; declare; pgqueue/calls/schedules.py.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_first timestamptz;
    v_old   pgqueue.schedule;
    v_moved boolean;
begin
    perform pgqueue.check_schedule(
        name, kind, args, cron, every, tz, queue, options, start_at, end_at, max_runs, jitter, missed, overlap, any_kind
    );
    v_first := case
        when cron is not null then first_run_at
        when start_at is null then v_now + every
        when start_at >= v_now then start_at
        else start_at + ceil(extract(epoch from v_now - start_at) / extract(epoch from every)) * every
    end;
    loop
        insert into pgqueue.schedule (
            name, kind, args, queue, options, cron, every, tz, start_at, end_at, max_runs, jitter, missed, overlap,
            created_at, changed_at, next_run_at
        )
        values (
            schedule.name, schedule.kind, schedule.args, schedule.queue, schedule.options, schedule.cron, schedule.every,
            schedule.tz, schedule.start_at, schedule.end_at, schedule.max_runs, schedule.jitter, schedule.missed,
            schedule.overlap, v_now, v_now, v_first
        )
        on conflict on constraint schedule_pkey do nothing;
        created := found;
        exit when created;
        select s.* into v_old from pgqueue.schedule s where s.name = schedule.name for update;
        exit when found;                                  -- else it was removed between the two
    end loop;

    if created then
        next_run_at := v_first;
    else
        v_moved := (v_old.cron, v_old.every, v_old.tz, v_old.start_at) is distinct from
                (schedule.cron, schedule.every, schedule.tz, schedule.start_at)
            or v_old.error is not null
            or v_old.ended_at is not null
                and (v_old.end_at, v_old.max_runs) is distinct from (schedule.end_at, schedule.max_runs);
        next_run_at := case when v_moved then v_first else v_old.next_run_at end;
        update pgqueue.schedule s
        set kind = schedule.kind, args = schedule.args, queue = schedule.queue, options = schedule.options,
            cron = schedule.cron, every = schedule.every, tz = schedule.tz, start_at = schedule.start_at,
            end_at = schedule.end_at, max_runs = schedule.max_runs, jitter = schedule.jitter, missed = schedule.missed,
            overlap = schedule.overlap, revision = s.revision + 1, next_run_at = schedule.next_run_at,
            changed_at = case when v_moved then v_now else s.changed_at end,
            ended_at = case when v_moved then null else s.ended_at end,
            watched_at = case when v_moved then null else s.watched_at end,
            error = null
        where s.name = schedule.name;
    end if;

    update pgqueue.schedule s
    set ended_at = v_now, next_run_at = null
    where s.name = schedule.name and s.ended_at is null and (s.next_run_at > s.end_at or s.runs >= s.max_runs);
    if found then
        next_run_at := null;
    end if;
    perform pg_notify('pgqueue_schedule', schedule.name);
end;
$$;

comment on function pgqueue.schedule(
    text, text, jsonb, text, interval, text, text, jsonb, timestamptz, timestamptz, integer, interval, integer, text, boolean, timestamptz
) is 'Makes or changes the schedule of that name; one whose time stays the same keeps its next moment, and its pause.';
