create or replace function pgqueue.register(
    p_name text, p_host text, p_pid integer, p_version text, p_queues jsonb, p_kinds jsonb default '{}',
    p_direct boolean default true
)
returns bigint
language plpgsql
as $$
-- register(name, host, pid, version, queues, kinds, direct) → id of the worker
--
--   Makes a worker known and takes its liveness lock, on the session that will beat for it: when the process dies the
--   server lets the lock go at once.
--
--   Behind a connection pooler there is no such session: a lock would stay with whoever comes next, or be free any time.
--   There only beats count.
--
-- p_queues  {"queue": slots}.
-- p_kinds   what it has handlers for, {"kind": kind of its on_failed hook, or null}. Call pgqueue.take_up next.
-- p_direct  whether this session is the worker's own.
-- Writes    pgqueue.worker: one row.
-- Locks     advisory (alive, worker), until the session ends; none if not p_direct.
-- Called by pgqueue/worker/steward.py, on a connection of its own.
declare
    v_id bigint;
begin
    insert into pgqueue.worker as w (name, host, pid, version, queues, kinds, direct)
    values (p_name, p_host, p_pid, p_version, p_queues, p_kinds, p_direct)
    returning w.id into v_id;
    if p_direct then
        perform pg_advisory_lock(1885827331, v_id::integer);
    end if;
    return v_id;
end;
$$;

comment on function pgqueue.register(text, text, integer, text, jsonb, jsonb, boolean) is
    'Makes a worker known and takes its liveness lock for this session; returns its id.';
