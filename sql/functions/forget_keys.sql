create or replace function pgqueue.forget_keys(p_limit integer default 10000)
returns integer
language plpgsql
as $$
-- forget_keys(limit) → how many keys were forgotten
--
--   Removes keys that nobody holds any more: the period is over and the job is done. The key of a dead letter stays as
--   long as the job may be retried: it then holds it again, unless another took it meanwhile.
--
--   In two statements. The first locks what looks forgotten, the second looks again: a key that was taken over after
--   the first one's snapshot would still look as it did there.
--
-- Writes    pgqueue.unique_key: deletes.
-- Locks     the rows it removes; skips locked ones.
-- Called by pgqueue/worker/leader.py, every ten minutes by the leader.
declare
    v_found tid[];
    v_count integer;
begin
    v_found := array(
        select u.ctid
        from pgqueue.unique_key u
        where (u.free_at is null or u.free_at < clock_timestamp()) and u.waits_for is null
            and not exists (select from pgqueue.job j where j.id = u.job)
            and not exists (select from pgqueue.job_archive_ended a where a.id = u.job)
        limit p_limit
        for update of u skip locked
    );
    delete from pgqueue.unique_key u
    where u.ctid = any (v_found) and u.waits_for is null
        and (u.free_at is null or u.free_at < clock_timestamp())
        and not exists (select from pgqueue.job j where j.id = u.job)
        and not exists (select from pgqueue.job_archive_ended a where a.id = u.job);
    get diagnostics v_count = row_count;
    return v_count;
end;
$$;

comment on function pgqueue.forget_keys(integer) is 'Removes unique keys that no job holds any more.';
