create or replace function pgqueue.fire(
    p_names text[], p_revisions integer[], p_due_at timestamptz[], p_fire_at timestamptz[], p_next_run_at timestamptz[]
)
returns table (name text, due_at timestamptz, outcome text, job bigint)
language plpgsql
as $$
-- fire(names, revisions, due_at, fire_at, next_run_at) → name, due_at, outcome, job for each
--
--   Fires schedules: enqueues the job of a moment and moves the schedule on, in one transaction. A crash in between
--   undoes both. Several owners do no harm: the row must still stand at due_at under that revision, and the unique
--   (schedule, due_at) of pgqueue.schedule_run lets a moment through once.
--
--   The clock is the server's. Owners come a few milliseconds early and wait here for the moment, so that neither the
--   way to the server nor another clock shows in when it fires.
--
--   A row that somebody has locked is left for the next tick: an operator's open transaction must not hold up the others.
--
-- p_due_at      where the schedule stands: its next_run_at as the owner knows it. Names and moments in order.
-- p_fire_at     the moment to fire: due_at, or a later one if those before were missed; null: none, only move on.
-- p_next_run_at where it goes on; null: it has ended.
-- Returns       outcome: fired; skipped or held, because the run before is not over; passed, only moved on; early, the
--               clock was put back; stale, somebody was faster, or the row was changed, paused or is locked.
-- Raises        whatever pgqueue.enqueue_many raises; nothing was fired then.
-- Writes        pgqueue.job, pgqueue.schedule, pgqueue.schedule_run.
-- Locks         each schedule's row; skips those that are locked.
-- Called by     pgqueue/worker/leader.py.
declare
    v_early    constant double precision := extract(epoch from (select max(d.due) from unnest(p_due_at) d (due)) - clock_timestamp());
    v_schedule pgqueue.schedule;
    v_live     bigint[];
    v_next     timestamptz;
begin
    if v_early between 0 and 0.1 then
        perform pg_sleep(v_early);
    end if;
    for i in 1 .. cardinality(p_names) loop
        name := p_names[i];
        due_at := p_due_at[i];
        job := null;
        select s.* into v_schedule
        from pgqueue.schedule s
        where s.name = p_names[i] and s.revision = p_revisions[i] and s.next_run_at = p_due_at[i]
            and s.paused_at is null and s.ended_at is null
        for no key update skip locked;
        v_live := array(select j.id from pgqueue.job j where j.id = any (v_schedule.jobs) order by j.id);
        outcome := case
            when v_schedule.name is null then 'stale'
            when coalesce(p_fire_at[i], p_due_at[i]) > clock_timestamp() then 'early'
            when p_fire_at[i] is null then 'passed'
            when v_schedule.overlap = 'skip' and v_live <> '{}' then 'skipped'
            when v_schedule.overlap = 'queue' and v_live <> '{}' then 'held'
            else 'fired'
        end;

        if outcome in ('fired', 'skipped') then
            insert into pgqueue.schedule_run (schedule, due_at) values (p_names[i], p_fire_at[i])
            on conflict on constraint schedule_run_pkey do nothing;
            if not found then                             -- somebody has put next_run_at back
                outcome := 'passed';
            elsif outcome = 'fired' then
                job := pgqueue.enqueue_run(v_schedule, p_fire_at[i]);
                update pgqueue.schedule_run r set job = fire.job
                where r.schedule = p_names[i] and r.due_at = p_fire_at[i];
            end if;
        end if;

        if outcome = 'held' then
            update pgqueue.schedule s set watched_at = clock_timestamp()
            where s.name = p_names[i] and (s.watched_at is null or s.watched_at < clock_timestamp() - interval '1 second');
        elsif outcome in ('fired', 'skipped', 'passed') then
            v_next := case
                when p_next_run_at[i] > v_schedule.end_at then null
                when outcome = 'fired' and v_schedule.runs + 1 >= v_schedule.max_runs then null
                else p_next_run_at[i]
            end;
            update pgqueue.schedule s
            set next_run_at = v_next,
                ended_at = case when v_next is null then clock_timestamp() end,
                runs = s.runs + (outcome = 'fired')::integer,
                skipped = s.skipped + (outcome = 'skipped')::integer,
                last_due_at = case when outcome = 'fired' then p_fire_at[i] else s.last_due_at end,
                last_run_at = case when outcome = 'fired' then clock_timestamp() else s.last_run_at end,
                jobs = case
                    when outcome <> 'fired' then s.jobs
                    when s.overlap = 'allow' then array[fire.job]
                    else v_live || fire.job
                end,
                watched_at = case when v_next <= clock_timestamp() then s.watched_at end   -- more of them have waited
            where s.name = p_names[i];
        end if;
        return next;
    end loop;
end;
$$;

comment on function pgqueue.fire(text[], integer[], timestamptz[], timestamptz[], timestamptz[]) is
    'Fires schedules that are due: enqueues the job and moves the schedule on, in one transaction.';
