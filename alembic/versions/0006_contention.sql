-- A function cannot change what it returns, so those that do are made anew; they are not there yet in a new database.
do $$
declare
    v_old text;
begin
    foreach v_old in array array[
        'pgqueue.duties(interval, interval)'
    ] loop
        if to_regprocedure(v_old) is not null then
            execute format('drop function %s', v_old);
        end if;
    end loop;
end;
$$;

-- Which queues may have a sleeping worker, so that a producer need not take a lock to know; see pgqueue.wake. At first
-- any may: workers sleep already.
create unlogged sequence pgqueue.sleepers minvalue -9223372036854775808 start with -1;

comment on sequence pgqueue.sleepers is
    'Bits of the queues that may have a sleeping worker, or one that is about to; while it was not called yet, all of them.';

grant select, update on sequence pgqueue.sleepers to public;
