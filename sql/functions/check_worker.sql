create or replace function pgqueue.check_worker(p_worker bigint)
returns void
language plpgsql
as $$
-- check_worker(worker) → nothing, or an error
--
-- Raises    PQ005 when the worker is unknown, has left, or was declared dead.
-- Writes    nothing.
-- Called by pgqueue.exchange, pgqueue.heartbeat, pgqueue.attach and pgqueue.hold.
begin
    if not exists (
        select from pgqueue.worker w where w.id = p_worker and w.died_at is null and w.stopped_at is null
    ) then
        raise exception using errcode = 'PQ005',
            message = format('worker %s was declared dead or has left, and its jobs were given to others', p_worker),
            hint = 'Drop what it held and register again.';
    end if;
end;
$$;

comment on function pgqueue.check_worker(bigint) is 'Refuses a worker that was declared dead, with SQLSTATE PQ005.';
