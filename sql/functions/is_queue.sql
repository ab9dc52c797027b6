create or replace function pgqueue.is_queue(queue text)
returns boolean
language sql
immutable
as $$
-- is_queue(queue) → whether it is a name for a queue; null if there is none
--
--   As pgqueue.is_kind.
--
-- Writes    nothing.
-- Called by check_job, enqueue, enqueue_many.
select queue collate "C" ~ '^[A-Za-z0-9._-]+$' and octet_length(queue) <= 63
$$;

comment on function pgqueue.is_queue(text) is 'Whether a text may be the name of a queue.';
