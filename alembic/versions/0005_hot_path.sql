-- The hot path, shorter. A function cannot change what it returns, so those that do are made anew; they are not there
-- yet in a new database.
do $$
declare
    v_old text;
begin
    foreach v_old in array array[
        'pgqueue.claim(bigint, text, integer, timestamptz[], bigint[])',
        'pgqueue.claim_newest(bigint, text, integer)',
        'pgqueue.exchange(bigint, bigint[], integer[], jsonb[], text[], integer[], timestamptz[], bigint[], interval[])'
    ] loop
        if to_regprocedure(v_old) is not null then
            execute format('drop function %s', v_old);
        end if;
    end loop;
end;
$$;

create type pgqueue.claimed as (
    id           bigint,
    claims       integer,
    queue        text,
    kind         text,
    args         jsonb,
    priority     smallint,
    attempt      smallint,
    max_attempts smallint,
    run_at       timestamptz,
    created_at   timestamptz,
    timeout      interval,
    meta         jsonb
);

comment on type pgqueue.claimed is 'A job that a worker took, as pgqueue.claim gives it.';
