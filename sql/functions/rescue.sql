create or replace function pgqueue.rescue(
    p_silence interval default '3 seconds', p_patience interval default '30 seconds'
)
returns table (worker bigint, jobs integer)
language plpgsql
set jit = off
as $$
-- rescue(silence, patience) → the workers found dead, and how many jobs each gave back
--
--   A worker is dead when its liveness lock is free and its last beat older than p_silence, or when its last beat is
--   older than p_patience though the lock looks held (a half-open connection). Its running attempts count as failed:
--   the jobs are tried again, at once if it was their first attempt, or end as failed if it was their last.
--
--   A claim that was under way at that moment may commit just after; so each dead worker is looked at once more later.
--
-- Writes    pgqueue.worker, pgqueue.attempt, pgqueue.job, pgqueue.job_archive.
-- Locks     advisory (alive, worker) of the dead, until the transaction ends. Reads the whole of pgqueue.job once for
--           each death: there is no index on the worker, it would cost every claim its HOT update.
-- Called by pgqueue/worker/leader.py, every second.
declare
    v_now    constant timestamptz := clock_timestamp();
    v_worker record;
    v_ids    bigint[];
    v_claims integer[];
    v_pauses interval[];
begin
    for v_worker in
        select w.id, w.name, w.died_at
        from pgqueue.worker w
        where (w.stopped_at is null and w.died_at is null and case      -- case: only try the lock of the silent
                when w.heartbeat_at > v_now - p_silence then false
                when w.heartbeat_at < v_now - p_patience then true
                else pg_try_advisory_xact_lock(1885827331, w.id::integer)
            end)
            or (w.swept_at is null and w.died_at < v_now - p_patience)
        order by w.id
        for update skip locked
    loop
        update pgqueue.worker w
        set died_at = coalesce(w.died_at, v_now), swept_at = case when w.died_at is not null then v_now end, running = 0
        where w.id = v_worker.id;

        select array_agg(j.id), array_agg(j.claims),
            array_agg(case when j.attempt <= 1 then interval '0' else least(power(2, j.attempt - 2), 3600) * interval '1 second' end)
        into v_ids, v_claims, v_pauses
        from pgqueue.job j
        where j.worker = v_worker.id;

        if v_ids is not null then
            perform pgqueue.fail(
                v_worker.id, v_ids, v_claims,
                array_fill(format('WorkerDied: worker %s (%s) died while it ran this job', v_worker.id, v_worker.name), array[cardinality(v_ids)]),
                array_fill(null::text, array[cardinality(v_ids)]), v_pauses
            );
        end if;
        if v_worker.died_at is null or v_ids is not null then
            worker := v_worker.id;
            jobs := coalesce(cardinality(v_ids), 0);
            return next;
        end if;
    end loop;
end;
$$;

comment on function pgqueue.rescue(interval, interval) is
    'Declares silent workers dead and gives their jobs back; the attempt that died with them counts as failed.';
