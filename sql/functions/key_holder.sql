create or replace function pgqueue.key_holder(p_scope text, p_key text, out held boolean, out job bigint)
language plpgsql
set intervalstyle = 'postgres'
set lock_timeout = '300ms'
as $$
-- key_holder(scope, key) → whether somebody holds the key at this moment, and who
--
--   Whatever the transaction's snapshot says. No query can see a row that was committed after an old snapshot; but a
--   constraint can, and Postgres says what the row in the way is: "… conflicts with existing key …=(scope, key, number)".
--   The number is the holder's, as a length of time (sql/schema/unique_key.sql). The attempt is always undone.
--
--   Of two that insert and only then look who else has, each waits for the other. So nobody waits here for long: less than
--   it takes until Postgres looks for a deadlock and ends one of them.
--
-- Returns   held: null when that cannot be told before somebody ends his transaction; pgqueue.try_key waits for him.
--           job: null when nobody holds it, or when the caller may not read pgqueue.unique_key.
-- Writes    nothing that stays.
-- Locks     waits an instant for a transaction that is taking the key.
-- Called by pgqueue.take_key, in REPEATABLE READ and SERIALIZABLE only.
declare
    v_detail text;
    v_tag    interval;
    v_months bigint;
begin
    insert into pgqueue.unique_key (scope, key, job) values (p_scope, p_key, 0);
    raise exception using errcode = 'no_data_found';
exception
    when no_data_found then
        held := false;
    when lock_not_available then
        held := null;
    when exclusion_violation then
        get stacked diagnostics v_detail = pg_exception_detail;
        v_tag := substring(v_detail from ', ([^,()]+)\)[^)]*$')::interval;
        v_months := extract(year from v_tag) * 12 + extract(month from v_tag);
        held := true;
        job := (extract(day from v_tag) + 30 * v_months)::bigint * 67108864 + v_months;
end;
$$;

comment on function pgqueue.key_holder(text, text) is 'Who holds a key at this moment, also past an old snapshot.';
