create or replace function pgqueue.recall(p_worker bigint, p_job bigint, p_claims integer, p_key text)
returns table (value jsonb)
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- recall(worker, job, claims, key) → the value on record for a step, if it was taken
--
-- Returns   no row when the step was not taken yet; its value is null when it was only noted.
-- Raises    PQ002 when the claim was lost: whoever holds the job now takes the step.
-- Writes    nothing.
-- Called by pgqueue/worker/once.py.
begin
    if not exists (select from pgqueue.job j where j.id = p_job and j.claims = p_claims and j.worker = p_worker) then
        perform pgqueue.refuse_claim(array[p_job]);
    end if;
    return query select o.value from pgqueue.once o where o.job = p_job and o.key = p_key;
end;
$$;

comment on function pgqueue.recall(bigint, bigint, integer, text) is 'The value that a step of a running job gave, if it was taken before.';
