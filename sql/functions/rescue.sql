create or replace function pgqueue.rescue(
    p_silence interval default '2 seconds', p_patience interval default '30 seconds', p_grace interval default '10 seconds'
)
returns table (worker bigint, jobs integer)
language plpgsql
set jit = off
as $$
-- rescue(silence, patience, grace) → the workers found dead or with jobs left behind, and how many jobs each gave back
--
--   A worker is dead when its liveness lock is free and its last beat older than p_silence: two beats, so that one that
--   lost its session has a second to come back. Behind a pooler there is no lock: there it is dead when its last beat is
--   older than p_patience. Its running attempts count as failed: the jobs are tried again, at once if it was their first
--   attempt, or end as failed if it was their last.
--
--   A lock that is held says that the process is there, for a machine that vanished loses it within half a minute (see
--   pgqueue/worker/connection.py). It may be frozen, or hold Python's lock in an extension module, and come back: so it
--   is given four times p_patience.
--
--   Nobody knows which of them killed the worker. So each pauses for a time of its own: together they would meet again,
--   and one that kills its worker would use up the attempts of all the others with its own.
--
--   Nobody could beat while the server was away. Who has not yet since it started is given time to come back: in
--   proportion to how long it was away, as tries to connect double their pauses, p_grace at most.
--
--   A session that still holds the lock of a worker declared dead is ended: a frozen leader would keep the lead for as
--   long as its connection looks alive, which can be hours.
--
--   A claim that was under way when its worker died or left may commit just after, and nobody would know of it. So each
--   is looked at once more, p_patience later. Such jobs of a worker that left go back, the attempt not counted.
--
-- Writes    pgqueue.worker, pgqueue.attempt, pgqueue.job, pgqueue.job_archive.
-- Locks     advisory (alive, worker) of the dead, until the transaction ends. Reads the whole of pgqueue.job once when
--           there is a worker to look for: there is no index on it, it would cost every claim its HOT update.
-- Called by pgqueue/worker/leader.py, when pgqueue.duties says so: at each tick by the leader, now and then by everybody.
declare
    v_now    constant timestamptz := clock_timestamp();
    v_start  constant timestamptz := pg_postmaster_start_time();
    v_ended  bigint[];
    v_worker record;
begin
    with ended as materialized (
        select w.id
        from pgqueue.worker w
        where (w.stopped_at is null and w.died_at is null and case      -- case: only try the lock of the silent
                when w.heartbeat_at < v_start
                    and v_now < v_start + least(p_grace, interval '1 second' + 1.5 * (v_start - w.heartbeat_at)) then false
                when w.heartbeat_at > v_now - p_silence then false
                when w.heartbeat_at < v_now - p_patience * case when w.direct then 4 else 1 end then true
                when not w.direct then false
                when exists (                                           -- our own: trying it would succeed
                    select from pg_locks l
                    where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.classid = 1885827331
                        and l.objid = w.id::integer::oid and l.objsubid = 2
                ) then false
                else pg_try_advisory_xact_lock(1885827331, w.id::integer)
            end)
            or (w.swept_at is null and coalesce(w.died_at, w.stopped_at) < v_now - p_patience)
        order by w.id
        for update skip locked
    ),
    marked as (
        update pgqueue.worker w
        set died_at = case when w.stopped_at is null then coalesce(w.died_at, v_now) end, running = 0,
            swept_at = case when coalesce(w.died_at, w.stopped_at) is not null then v_now end
        from ended e
        where w.id = e.id
        returning w.id
    )
    select array_agg(m.id) into v_ended from marked m;
    if v_ended is null then
        return;
    end if;

    perform pg_terminate_backend(l.pid)
    from pg_locks l
    join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.classid = 1885827331 and l.objsubid = 2
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.objid in (select e.id::integer::oid from unnest(v_ended) e (id))
        and l.pid <> pg_backend_pid()
        and pg_has_role(a.usesysid, 'member');            -- whom we may not signal we leave alone: no error here

    for v_worker in
        with held as (
            select
                j.worker, array_agg(j.id) as ids, array_agg(j.claims) as claims,
                array_agg(
                    case
                        when j.attempt <= 1 then 0
                        else least(power(2, least(j.attempt - 2, 12)), 3600) * (1 - random() / 2)
                    end * interval '1 second'
                ) as pauses
            from pgqueue.job j
            where j.worker = any (v_ended)
            group by j.worker
        )
        select
            w.id, w.stopped_at, coalesce(cardinality(h.ids), 0) as jobs, h.ids, h.claims, h.pauses,
            format('WorkerDied: worker %s (%s) died while it ran this job', w.id, w.name) as error
        from pgqueue.worker w
        left join held h on h.worker = w.id
        where w.id = any (v_ended) and (h.ids is not null or w.swept_at is null)
        order by w.id
    loop
        if v_worker.stopped_at is not null then
            perform pgqueue.release(v_worker.id, v_worker.ids, v_worker.claims);
        elsif v_worker.jobs > 0 then
            perform pgqueue.fail(
                v_worker.id, v_worker.ids, v_worker.claims, array_fill(v_worker.error, array[v_worker.jobs]),
                array_fill(null::text, array[v_worker.jobs]), v_worker.pauses
            );
        end if;
        worker := v_worker.id;
        jobs := v_worker.jobs;
        return next;
    end loop;

    -- A claim that was under way is undone, and whoever looked meanwhile skipped its jobs and went to sleep.
    perform pgqueue.wake(q.queue)
    from (
        select distinct k.queue
        from pgqueue.worker w
        cross join jsonb_object_keys(w.queues) k (queue)
        where w.id = any (v_ended)
    ) q;
end;
$$;

comment on function pgqueue.rescue(interval, interval, interval) is
    'Declares silent workers dead and gives their jobs back; the attempt that died with them counts as failed.';
