create or replace function pgqueue.end_session(p_pid integer, p_started timestamptz)
returns boolean
language plpgsql
as $$
-- end_session(pid, started) → whether that session is over
--
--   For a worker that lost a connection: the server may not know yet. What the old session still does, or still finds in
--   its socket, it would do after the worker has told what it holds; and its advisory locks would stay for as long.
--
--   Asks the session to end and does not wait for it: call again until it is true.
--
-- p_started moment the session began, since process ids are used again.
-- Writes    nothing; sends a signal, if our role may.
-- Called by pgqueue/worker/lanes.py, bell.py and steward.py, after each reconnect.
begin
    if not exists (select from pg_stat_get_activity(p_pid) a where a.backend_start = p_started) then
        return true;
    end if;
    perform pg_terminate_backend(a.pid)
    from pg_stat_get_activity(p_pid) a
    where a.backend_start = p_started and pg_has_role(a.usesysid, 'member');
    return false;
end;
$$;

comment on function pgqueue.end_session(integer, timestamptz) is
    'Asks a worker''s lost session to end; returns whether it is over.';
