create or replace function pgqueue.once(
    p_worker bigint, p_job bigint, p_claims integer, p_key text, p_value jsonb default null,
    out first boolean, out value jsonb
)
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- once(worker, job, claims, key, value) → whether it is the first time, and the value on record
--
--   Records that a job took a step, with what it gave. A step is recorded once over all attempts of the job: the second
--   time nothing changes.
--
--   The job's row is not locked. A claim may be lost right after the look at it, as it may be right after this returns;
--   between two runs of one job the primary key decides, which waits for a run that has the step in an open
--   transaction. A lock would be kept as long as that transaction, and a rescue of the job would wait for it.
--
-- p_key     1 to 255 characters.
-- p_value   null: only that it was taken. At most 1 MiB.
-- Returns   value: of the first time, whoever it was; null for a step that was only noted.
-- Raises    PQ001 for a bad key or value; PQ002 when the claim was lost.
-- Writes    pgqueue.once: one row, or none.
-- Called by pgqueue/worker/once.py.
begin
    if (char_length(p_key) between 1 and 255) is not true then
        raise exception 'key % of a step has % characters; use 1 to 255', left(quote_nullable(p_key), 80), coalesce(char_length(p_key), 0)
            using errcode = 'PQ001';
    end if;
    if pg_column_size(p_value) > 1048576 then
        raise exception 'value of step % takes % bytes; the limit is 1048576: store the data elsewhere and keep its key', p_key, pg_column_size(p_value)
            using errcode = 'PQ001';
    end if;
    if not exists (select from pgqueue.job j where j.id = p_job and j.claims = p_claims and j.worker = p_worker) then
        perform pgqueue.refuse_claim(array[p_job]);
    end if;

    insert into pgqueue.once (job, key, value) values (p_job, p_key, p_value) on conflict do nothing;
    first := found;
    value := p_value;
    if not first then
        value := (select o.value from pgqueue.once o where o.job = p_job and o.key = p_key);
    end if;
end;
$$;

comment on function pgqueue.once(bigint, bigint, integer, text, jsonb) is
    'Records a step of a running job, once over all its attempts; says whether this was the first time.';
