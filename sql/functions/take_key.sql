create or replace function pgqueue.take_key(
    p_scope text, p_key text, p_job bigint, p_until text, p_free_at timestamptz, p_on_conflict text, p_run_at timestamptz,
    out holder bigint, out verdict text
)
language plpgsql
as $$
-- take_key(scope, key, job, until, free at, on conflict, run at) → the key's holder, and what is to be done
--
--   As pgqueue.try_key, at every isolation level. A transaction with a snapshot of its own (REPEATABLE READ,
--   SERIALIZABLE) cannot see a key that was taken after it, and Postgres refuses it what would depend on that. Here, and
--   only here, the refusal is caught: the attempt is undone, and whoever holds the key is kept.
--
-- Raises    40001 when the transaction cannot go on for other reasons.
-- Writes    as try_key.
-- Locks     as try_key.
-- Called by pgqueue.enqueue_unique.
declare
    v_held boolean;
    v_free integer := 0;
begin
    if current_setting('transaction_isolation') like 'read %' then
        select t.* into holder, verdict
        from pgqueue.try_key(p_scope, p_key, p_job, p_until, p_free_at, p_on_conflict, p_run_at) t;
        return;
    end if;
    loop
        begin
            select t.* into holder, verdict
            from pgqueue.try_key(p_scope, p_key, p_job, p_until, p_free_at, p_on_conflict, p_run_at) t;
            return;
        exception when serialization_failure then
            verdict := 'kept';
            select k.held, k.job into v_held, holder from pgqueue.key_holder(p_scope, p_key) k;
            if v_held then
                return;
            end if;
            v_free := v_free + (v_held is false)::integer;
            if v_free = 3 then                            -- else it was let go meanwhile: once more
                raise;
            end if;
        end;
    end loop;
end;
$$;

comment on function pgqueue.take_key(text, text, bigint, text, timestamptz, text, timestamptz) is
    'Takes a key for a job, or tells who holds it; a conflict is no error at any isolation level.';
