create or replace function pgqueue.are_args(args jsonb)
returns boolean
language sql
stable
as $$
-- are_args(args) → whether they are plainly arguments of a job; null if there are none
--
--   As pgqueue.is_kind. The size that counts is that of their text, which a client can tell beforehand. As stored,
--   numbers take up to six times that, so of large ones pgqueue.check_job has the last word.
--
-- Writes    nothing.
-- Called by check_job, enqueue, enqueue_many, enqueue_plain.
select jsonb_typeof(args) = 'object' and pg_column_size(args) <= 1048576
$$;

comment on function pgqueue.are_args(jsonb) is 'Whether JSON is plainly the arguments of a job: an object that is not large.';
