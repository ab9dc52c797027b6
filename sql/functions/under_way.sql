create or replace function pgqueue.under_way(p_transaction xid)
returns boolean
language plpgsql
as $$
-- under_way(transaction) → whether it has not ended
--
--   A row keeps 32 bits of who changes or locks it (xmax), and goes on keeping them: a job that was claimed and given
--   back has those of somebody long gone. What tells has 64, so they are set against the next one that nobody has yet.
--
-- p_transaction  not more than two billion transactions old, as every one that a row has; not 0.
-- Returns   false as well for several that share a row: what is kept then is no transaction.
-- Writes    nothing.
-- Called by pgqueue.pass_taken.
declare
    v_now  constant pg_snapshot := pg_current_snapshot();
    v_next constant bigint := pg_snapshot_xmax(v_now)::text::bigint;
    v_ago  constant bigint := (v_next - p_transaction::text::bigint) & 4294967295;
begin
    return v_ago >= 2147483648 or not pg_visible_in_snapshot(greatest(v_next - v_ago, 0)::text::xid8, v_now);
end;
$$;

comment on function pgqueue.under_way(xid) is 'Whether a transaction, as a row keeps it in xmax, has not ended.';
