create or replace function pgqueue.declare(p_worker bigint, p_schedules jsonb, p_known boolean default false)
returns void
language plpgsql
as $$
-- declare(worker, schedules, known) → nothing
--
--   The schedules in a worker's code. One that the code declares as it did before is left alone, with its next_run_at,
--   a pause, and whatever an operator has changed meanwhile. A new or different declaration makes or changes it. One
--   that vanished from the code goes on.
--
-- p_schedules  an array of objects, each key as the parameter of pgqueue.schedule.
-- p_known      this process has declared them before: only say that it still has them. It was declared dead and goes on,
--              maybe with older code than what was deployed since.
-- Raises       PQ020, PQ001 as pgqueue.schedule; nothing was declared then.
-- Writes       pgqueue.worker: one row; pgqueue.schedule.
-- Called by    pgqueue/worker/steward.py, after register.
declare
    v_given jsonb;
    v_same  boolean;
begin
    update pgqueue.worker w
    set schedules = array(select e.given ->> 'name' from jsonb_array_elements(p_schedules) e (given) order by 1)
    where w.id = p_worker;

    for v_given in
        select e.given from jsonb_array_elements(p_schedules) e (given) where not p_known order by e.given ->> 'name'
    loop
        -- The whole fleet starts at once and says the same: one makes it, the others wait for that and find it done.
        select s.declared is not distinct from v_given into v_same from pgqueue.schedule s where s.name = v_given ->> 'name';
        if v_same is not true then
            perform pgqueue.schedule(
                g.name, g.kind, g.args, g.cron, g.every, g.tz, g.queue, g.options, g.start_at, g.end_at, g.max_runs, g.jitter,
                g.missed, g.overlap, any_kind => true
            )
            from jsonb_to_record(v_given) as g (
                name text, kind text, args jsonb, cron text, every interval, tz text, queue text, options jsonb,
                start_at timestamptz, end_at timestamptz, max_runs integer, jitter interval, missed integer, overlap text
            );
            update pgqueue.schedule s set source = 'code', declared = v_given where s.name = v_given ->> 'name';
        end if;
    end loop;
end;
$$;

comment on function pgqueue.declare(bigint, jsonb, boolean) is 'Makes known which schedules are in a worker''s code: they are made or changed.';
