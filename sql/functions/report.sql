create or replace function pgqueue.report(
    p_worker    bigint,
    p_ids       bigint[],
    p_claims    integer[],
    p_fractions double precision[],
    p_messages  text[],
    p_places    integer[] default null,
    p_lines     integer[] default null,
    p_ages      double precision[] default null,
    p_levels    text[] default null,
    p_texts     text[] default null
)
returns void
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '200ms'
set jit = off
as $$
-- report(worker, ids, claims, fractions, messages, places, lines, ages, levels, texts) → nothing
--
--   What running jobs say of themselves: how far they have come, and lines for their log. All jobs of a worker in one
--   call. A job whose claim was lost is left out: whoever holds it now speaks for it. One that this worker has just
--   completed, in the transaction of its handler, may still say its last words.
--
--   Never worth waiting for: not for the disk, nor longer than an instant for somebody who locks these tables.
--
-- p_fractions, p_messages one per id: the latest of each, or null.
-- p_places  for each line, which of the ids it is of, from 1. p_lines: its number under that claim, from 1; one that is
--           on record already is left as it is, so a report may be repeated. p_ages: seconds since it was written.
-- Raises    55P03 when somebody locks the tables: nothing was written.
-- Writes    pgqueue.progress: one row for each id, a HOT update if it is there. pgqueue.job_log: one row for each line.
-- Called by pgqueue/worker/journal.py.
begin
    perform set_config('synchronous_commit', 'off', true);    -- the outcome that follows waits for the disk for both
    with told as (
        select t.id, t.claims, t.fraction, t.message, t.place
        from unnest(p_ids, p_claims, p_fractions, p_messages) with ordinality t (id, claims, fraction, message, place)
    ),
    held as materialized (
        select t.*, coalesce(
            (
                select j.attempt from pgqueue.job j
                where j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
            ),
            (
                select a.attempt from pgqueue.job_archive a
                where a.id = any (array[t.id]) and a.claims = t.claims and a.worker = p_worker
            )
        ) as attempt
        from told t
    ),
    noted as (
        insert into pgqueue.progress as p (job, claims, fraction, message)
        select h.id, h.claims, h.fraction, h.message from held h where h.attempt is not null order by h.id
        on conflict (job) do update
        set claims = excluded.claims, fraction = excluded.fraction, message = excluded.message,
            updated_at = clock_timestamp()
        where p.claims <= excluded.claims
    )
    insert into pgqueue.job_log (job, claims, line, attempt, at, level, text)
    select h.id, h.claims, l.line, h.attempt, clock_timestamp() - l.age * interval '1 second', l.level, l.text
    from unnest(p_places, p_lines, p_ages, p_levels, p_texts) l (place, line, age, level, text)
    join held h on h.place = l.place
    where h.attempt is not null
    on conflict do nothing;
end;
$$;

comment on function pgqueue.report(bigint, bigint[], integer[], double precision[], text[], integer[], integer[], double precision[], text[], text[]) is
    'Notes how far running jobs have come and the lines they wrote, if the worker still holds them under that claim.';
