create or replace function pgqueue.at_work(p_pid integer, p_started timestamptz)
returns boolean
language plpgsql
as $$
-- at_work(pid, started) → whether that session still works on a statement; null when the server does not tell
--
--   For a worker that has waited for an answer for long: a server that works on it is slow, or waits for a lock; one that
--   does not has answered, or was never asked, and the connection between them is dead.
--
--   Waiting for its client is no work: the answer does not get through.
--
-- p_started moment the session began, since process ids are used again.
-- Returns   null with track_activities off, or for a session of a role that ours may not watch.
-- Writes    nothing.
-- Called by pgqueue/worker/watch.py.
declare
    v_session record;
begin
    select a.state, a.wait_event_type into v_session
    from pg_stat_get_activity(p_pid) a
    where a.backend_start = p_started;
    if not found then
        return false;
    end if;
    return case when v_session.state <> 'disabled'
        then v_session.state <> 'idle' and v_session.wait_event_type is distinct from 'Client'
    end;
end;
$$;

comment on function pgqueue.at_work(integer, timestamptz) is
    'Whether a server session still works on a statement; null when the server does not tell.';
