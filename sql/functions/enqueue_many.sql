create or replace function pgqueue.enqueue_many(jobs jsonb)
returns table (id bigint, created boolean)
language plpgsql
as $$
-- enqueue_many(jobs) → id, created for each, in the order given
--
--   Adds many jobs to the caller's transaction, in one statement. All of them or none: the first that breaks a rule
--   refuses the lot.
--
--   Jobs with a unique key go one by one (pgqueue.enqueue_each), and the rest of their call with them.
--
-- jobs      an array of objects {kind, args, queue, priority, …}, each key as the parameter of pgqueue.enqueue, all but
--           kind optional.
-- Returns   created: false when another job holds the key; id is then that job's.
-- Raises    PQ001 when a value breaks a rule, with the value and the rule.
-- Writes    pgqueue.job: one row each, as pgqueue.enqueue.
-- Called by applications; enqueue_run; pgqueue/calls/jobs.py.
declare
    v_now constant timestamptz := clock_timestamp();
    v_plain constant text[] := '{kind,args,queue,priority,run_at,delay,max_attempts,timeout,meta,expires_at,expires_in}';
    v_known constant text[] := v_plain || '{unique_key,unique_scope,unique_until,unique_for,on_conflict}'::text[];
begin
    if jobs is null or jsonb_typeof(jobs) <> 'array' then
        raise exception using errcode = 'PQ001',
            message = format('jobs are JSON of type %s; they must be an array of objects', coalesce(jsonb_typeof(jobs), 'null'));
    elsif jobs @? 'strict $[*] ? (@.type() != "object")' then
        raise exception using errcode = 'PQ001', message = 'one of the jobs is no JSON object; they must be an array of objects';
    elsif exists (select from jsonb_array_elements(jobs) e (job) where e.job - v_plain <> '{}') then
        if exists (select from jsonb_array_elements(jobs) e (job) where e.job - v_known <> '{}') then
            raise exception using errcode = 'PQ001', message = format(
                '%L is no option of a job; use %s',
                (select k.name from jsonb_array_elements(jobs) e (job), jsonb_object_keys(e.job - v_known) k (name) limit 1),
                array_to_string(v_known, ', ')
            );
        end if;
        return query select e.id, e.created from pgqueue.enqueue_each(jobs) e;
        return;
    end if;
    return query
    with added as (
        insert into pgqueue.job as j (kind, args, queue, priority, run_at, created_at, max_attempts, timeout, meta, expires_at)
        select
            g.kind, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.priority, 5),
            coalesce(g.run_at, v_now + coalesce(g.delay, interval '0')), v_now, coalesce(g.max_attempts, 20), g.timeout,
            g.meta,
            coalesce(g.expires_at, coalesce(g.run_at, v_now + coalesce(g.delay, interval '0')) + g.expires_in)
        from jsonb_to_recordset(jobs) as g (
            kind text, args jsonb, queue text, priority integer, run_at timestamptz, delay interval,
            max_attempts integer, timeout interval, meta jsonb, expires_at timestamptz, expires_in interval
        )
        where case                                        -- always true, or an error: as in pgqueue.enqueue
            when pgqueue.is_kind(g.kind)
                and (g.queue is null or pgqueue.is_queue(g.queue))
                and (g.args is null or pgqueue.are_args(g.args))
                and (g.priority is null or g.priority between 0 and 9)
                and (g.max_attempts is null or g.max_attempts between 1 and 32767)
                and num_nulls(g.run_at, g.delay, g.timeout, g.meta, g.expires_at, g.expires_in) = 6
            then true
            else (
                pgqueue.check_job(
                    g.kind, coalesce(g.args, '{}'), coalesce(g.queue, 'default'), coalesce(g.priority, 5),
                    coalesce(g.max_attempts, 20), g.timeout, g.run_at, g.delay, g.meta, g.expires_at, g.expires_in
                ) is null
            ) is not null
        end
        returning j.id, j.queue, j.run_at
    ),
    rung as (
        select pgqueue.wake(q.queue, q.earliest)
        from (select a.queue, min(a.run_at) as earliest from added a group by a.queue) q
    )
    select a.id, true from added a where (select count(*) from rung) >= 0;
end;
$$;

comment on function pgqueue.enqueue_many(jsonb) is
    'Adds an array of jobs, each an object with the parameters of pgqueue.enqueue, to your transaction in one statement.';
