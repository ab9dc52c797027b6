create or replace function pgqueue.stand_in()
returns boolean
language plpgsql
as $$
-- stand_in() → whether nobody leads at this moment, so that the caller may do what a leader does
--
--   For workers behind a connection pooler. They have no session to keep the lead with: a lock taken through a pooler
--   would stay with a session that is anybody's. Each stands in for as long as its statement takes. Two at a time are
--   harmless, nobody is not.
--
-- Writes    nothing.
-- Locks     advisory (leader), until the transaction ends.
-- Called by pgqueue/worker/timetable.py, in place of pgqueue.lead.
begin
    return pg_try_advisory_xact_lock(1885827332, 0);
end;
$$;

comment on function pgqueue.stand_in() is 'Whether nobody leads at this moment: asked by workers that cannot keep the lead.';
