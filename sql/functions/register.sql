create or replace function pgqueue.register(
    p_name text, p_host text, p_pid integer, p_version text, p_queues jsonb, p_kinds jsonb default '{}'
)
returns bigint
language plpgsql
as $$
-- register(name, host, pid, version, queues, kinds) → id of the worker
--
--   Makes a worker known and takes its liveness lock, on the session that will beat for it: when the process dies the
--   server lets the lock go at once.
--
-- p_queues  {"queue": slots}.
-- p_kinds   what it has handlers for, {"kind": kind of its on_failed hook, or null}. Call pgqueue.take_up next.
-- Writes    pgqueue.worker: one row.
-- Locks     advisory (alive, worker), until the session ends.
-- Called by pgqueue/worker/steward.py, on its own direct connection, never one from a pool.
declare
    v_id bigint;
begin
    insert into pgqueue.worker as w (name, host, pid, version, queues, kinds)
    values (p_name, p_host, p_pid, p_version, p_queues, p_kinds)
    returning w.id into v_id;
    perform pg_advisory_lock(1885827331, v_id::integer);
    return v_id;
end;
$$;

comment on function pgqueue.register(text, text, integer, text, jsonb, jsonb) is
    'Makes a worker known and takes its liveness lock for this session; returns its id.';
