create or replace function pgqueue.is_kind(kind text)
returns boolean
language sql
immutable
as $$
-- is_kind(kind) → whether it is a name for a kind; null if there is none
--
--   The rule stands here once. A function in SQL of a single expression becomes part of the caller's statement, so it
--   costs what the expression costs and no call; a test sees to it that it stays such.
--
--   A name is matched without a bounded repeat: '{1,255}' costs 6 µs a match, '+' and a length 0.3 µs.
--
-- Writes    nothing.
-- Called by check_job, enqueue, enqueue_many, enqueue_plain.
select kind collate "C" ~ '^[A-Za-z0-9._:-]+$' and octet_length(kind) <= 255
$$;

comment on function pgqueue.is_kind(text) is 'Whether a text may be the kind of a job.';
