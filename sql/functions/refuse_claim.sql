create or replace function pgqueue.refuse_claim(p_ids bigint[])
returns void
language plpgsql
as $$
-- refuse_claim(ids) → an error that names the jobs whose claim was lost
--
-- Raises    PQ002.
-- Writes    nothing.
-- Called by pgqueue.finish_within, pgqueue.once and pgqueue.recall.
begin
    raise exception using errcode = 'PQ002',
        message = format('the claim on job %s was lost: another worker has it, or it ended', array_to_string(p_ids, ', '));
end;
$$;

comment on function pgqueue.refuse_claim(bigint[]) is 'Raises PQ002 for jobs that this worker does not hold any more.';
