create or replace function pgqueue.enqueue(kind text, args jsonb default '{}')
returns pgqueue.enqueued
language plpgsql
as $$
-- enqueue(kind, args) → id, created
--
--   As the other pgqueue.enqueue, for the job that says nothing else, which most do: with two parameters instead of
--   sixteen the call costs a fifth less. A kind and args that are not plainly good go to the other, which has the reason
--   to refuse them.
--
--   Postgres chooses this one for what both would take: text is what it prefers for a text of unknown type, and for
--   every kind of text. So the first parameter of the other must not be of type text.
--
-- Returns   as the other. created is always true.
-- Raises    PQ001 when a value breaks a rule, with the value and the rule.
-- Writes    pgqueue.job: one row, with the defaults of the table, which are those of the other.
-- Locks     as pgqueue.wake.
-- Called by applications; pgqueue/calls/jobs.py.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_added pgqueue.enqueued;
begin
    insert into pgqueue.job as j (kind, args, run_at, created_at)
    select enqueue.kind, enqueue.args, v_now, v_now
    where pgqueue.is_kind(enqueue.kind) and pgqueue.are_args(enqueue.args)
    returning j.id, pgqueue.nobody_sleeps('default') into v_added;

    if v_added.created then                               -- here: whether nobody sleeps
        return v_added;
    elsif v_added.id is null then
        return pgqueue.enqueue(kind, args, queue => 'default');
    end if;
    perform pgqueue.wake('default');
    v_added.created := true;
    return v_added;
end;
$$;

comment on function pgqueue.enqueue(text, jsonb) is
    'Adds a job to your transaction: it exists when that commits and never did when it rolls back.';
