create or replace function pgqueue.follow(p_limit integer default 1000)
returns integer
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- follow(limit) → how many jobs may start because the one they waited for runs no more
--
--   For keys with on_conflict latest. The one that ran may be done, or wait for its next attempt: then it ends here as
--   cancelled, for the one behind it has the latest arguments. So no more than one runs and one waits. Unless that one
--   was cancelled or expired meanwhile: then there is no later one, and the first goes on.
--
--   An older one that pgqueue.retry brought back supersedes nobody: it waits until the other has ended.
--
-- Writes    pgqueue.unique_key; pgqueue.job: run_at, or → pgqueue.job_archive as cancelled.
-- Locks     the keys' rows and the jobs', skipping locked ones; as pgqueue.wake.
-- Called by pgqueue/worker/leader.py, by the leader, when pgqueue.duties says so.
declare
    v_key     pgqueue.unique_key;
    v_count   integer := 0;
    v_waiting bigint[];
begin
    for v_key in
        select u.*
        from pgqueue.unique_key u
        where u.waits_for is not null
            and not exists (
                select from pgqueue.job j where j.id = u.waits_for and (j.worker is not null or u.job < u.waits_for)
            )
        order by u.waits_for
        limit p_limit
        for update of u skip locked
    loop
        -- Who has one of the two locked may want the key next: we do not wait for each other, the next tick does it.
        v_waiting := array(
            select j.id from pgqueue.job j
            where j.id in (v_key.job, v_key.waits_for) and j.worker is null
            for update skip locked
        );
        perform pgqueue.wake(j.queue, j.run_at)                   -- who skips it now must not go to sleep: it may stay
        from pgqueue.job j where j.id = v_key.waits_for and j.id = any (v_waiting);
        continue when exists (
            select from pgqueue.job j
            where j.id in (v_key.job, v_key.waits_for) and j.id <> all (v_waiting)
                and (j.worker is null or j.id = v_key.waits_for)                          -- claimed again meanwhile
        );
        if not exists (
            select from pgqueue.job j
            where j.id = v_key.job and (j.worker is not null or j.expires_at is null or j.expires_at > clock_timestamp())
        ) then
            update pgqueue.unique_key u
            set job = case when u.waits_for = any (v_waiting) then u.waits_for else u.job end, waits_for = null, run_at = null
            where u.scope = v_key.scope and u.key = v_key.key;
            continue;
        end if;

        if v_key.waits_for = any (v_waiting) then
            perform pgqueue.end_waiting(
                array[v_key.waits_for], 'cancelled', format('superseded by job %s of the same unique key', v_key.job)
            );
        end if;

        update pgqueue.unique_key u set waits_for = null, run_at = null where u.scope = v_key.scope and u.key = v_key.key;
        perform pgqueue.start_waiting(v_key.job, v_key.run_at);
        v_count := v_count + 1;
    end loop;
    return v_count;
end;
$$;

comment on function pgqueue.follow(integer) is 'Lets jobs start that waited for another of their unique key, once that one runs no more.';
