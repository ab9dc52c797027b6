create or replace function pgqueue.set_queue(name text, settings jsonb)
returns void
language plpgsql
as $$
-- set_queue(name, settings) → nothing
--
--   Changes settings of a queue; those that are not named stay as they are. Workers follow at once.
--
-- settings  an object; null as a value means the default.
--           lifo: true: the newest ready job of a priority starts first; default false.
--           keep_completed: how long completed jobs stay in the archive, an interval; default 1 day.
--           keep_ended: the same for failed, cancelled and expired ones; default 14 days.
-- Raises    PQ001 when the name or a setting breaks a rule, with the value and the rule; 22007 and 22P02 for what is no
--           interval or no boolean.
-- Writes    pgqueue.queue: one row.
-- Called by operators; pgqueue/calls/keys.py.
declare
    v_unknown   text;
    v_completed constant interval := settings ->> 'keep_completed';
    v_ended     constant interval := settings ->> 'keep_ended';
begin
    if (name collate "C" ~ '^[A-Za-z0-9._-]+$' and octet_length(name) <= 63) is not true then
        raise exception 'queue name % is no name; use 1 to 63 letters, digits, ''.'', ''_'', ''-''', quote_nullable(name)
            using errcode = 'PQ001';
    elsif (jsonb_typeof(settings) = 'object') is not true then
        raise exception 'settings are JSON of type %; they must be an object', coalesce(jsonb_typeof(settings), 'null')
            using errcode = 'PQ001';
    elsif least(v_completed, v_ended) < interval '0' then
        raise exception 'keep_completed and keep_ended must not be negative; the settings are %', settings
            using errcode = 'PQ001';
    end if;
    select k.key into v_unknown
    from jsonb_object_keys(settings) k (key)
    where k.key not in ('lifo', 'keep_completed', 'keep_ended')
    limit 1;
    if found then
        raise exception '% is no setting of a queue; use lifo, keep_completed, keep_ended', quote_literal(v_unknown)
            using errcode = 'PQ001';
    end if;

    insert into pgqueue.queue as q (name, lifo, keep_completed, keep_ended)
    values (set_queue.name, coalesce((settings ->> 'lifo')::boolean, false), v_completed, v_ended)
    on conflict on constraint queue_pkey do update
    set lifo = case when settings ? 'lifo' then excluded.lifo else q.lifo end,
        keep_completed = case when settings ? 'keep_completed' then excluded.keep_completed else q.keep_completed end,
        keep_ended = case when settings ? 'keep_ended' then excluded.keep_ended else q.keep_ended end;
end;
$$;

comment on function pgqueue.set_queue(text, jsonb) is 'Changes settings of a queue, such as lifo and how long its finished jobs are kept.';
