create or replace function pgqueue.next_run_at(p_queue text)
returns timestamptz
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
-- next_run_at(queue) → when the next job of the queue that waits may start; null when none waits
--
--   What a sleeping worker sets its timer by, so that jobs dated ahead start on time without polling.
--
-- Writes    nothing.
-- Called by pgqueue/worker/bell.py.
begin
    return (
        select min(f.run_at)
        from generate_series(0, 9) p (priority)
        cross join lateral (
            select c.run_at
            from pgqueue.job c
            where c.queue = p_queue and c.priority = p.priority::smallint and c.worker is null
                and (c.expires_at is null or c.expires_at > clock_timestamp())
            order by c.run_at, c.id
            limit 1
        ) f
    );
end;
$$;

comment on function pgqueue.next_run_at(text) is 'When the next waiting job of a queue may start; null when none waits.';
