create or replace function pgqueue.ring_finished(p_ids bigint[])
returns void
language plpgsql
as $$
-- ring_finished(ids) → nothing
--
--   Tells whoever waits for results, at commit, that these jobs may have ended. Every verb that ends jobs calls it.
--
--   The protocol of pgqueue.wake, under a name that no queue can have: who waits has parked there, so that a finisher
--   finds out with one question for all its jobs together, and notifies only if somebody waits. It has deleted their rows
--   before: of those that it has not, it has nothing to tell.
--
-- p_ids     a job that has not ended may be among them: who waits for it looks and goes on waiting.
-- Writes    nothing; sends notifications on channel pgqueue_results: 'id,id,…', or '*' for so many that it is cheaper
--           to look at all that one waits for.
-- Locks     as pgqueue.nobody_sleeps.
-- Called by finish, fail, abandon, end_waiting.
declare
    v_chunk constant integer := 390;          -- ids of 19 digits and a comma: a payload has fewer than 8,000 bytes
begin
    if pgqueue.nobody_sleeps('@results') then
        return;
    elsif cardinality(p_ids) > 5 * v_chunk then
        perform pg_notify('pgqueue_results', '*');
    else
        for i in 0 .. (cardinality(p_ids) - 1) / v_chunk loop
            perform pg_notify('pgqueue_results', array_to_string(p_ids[i * v_chunk + 1 : (i + 1) * v_chunk], ','));
        end loop;
    end if;
end;
$$;

comment on function pgqueue.ring_finished(bigint[]) is
    'Tells whoever waits for results that these jobs may have ended; costs no notification while nobody waits.';
