create or replace function pgqueue.drop_days(p_half text, p_keep interval)
returns void
language plpgsql
as $$
-- drop_days(half, keep) → nothing
--
--   Applies retention to a half of the archive ('completed' or 'ended'). Whole days go by dropping their partition;
--   single rows are deleted only for queues with a time of their own, and in the default partition.
--
-- p_keep    how long rows stay unless pgqueue.queue says otherwise for their queue.
-- Writes    drops partitions; moves and deletes rows.
-- Called by pgqueue.maintain.
declare
    v_now  constant timestamptz := clock_timestamp();
    v_half constant text := 'job_archive_' || p_half;
    v_rest constant text := v_half || '_default';
    v_own  constant text := format('(select q.name, q.keep_%s as keep from pgqueue.queue q where q.keep_%s is not null)', p_half, p_half);
    v_day  record;
begin
    for v_day in
        select c.relname as name, c.relname ~ '_[0-9]{8}$'
            and (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC' < v_now - p_keep as due
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = ('pgqueue.' || v_half)::regclass and c.relname <> v_rest
        order by c.relname
    loop
        if v_day.due then
            execute format('alter table pgqueue.%I detach partition pgqueue.%I', v_half, v_day.name);
            execute format(
                'insert into pgqueue.%I select d.* from pgqueue.%I d join %s o on o.name = d.queue and d.finished_at >= %L::timestamptz - o.keep',
                v_rest, v_day.name, v_own, v_now
            );
            execute format('drop table pgqueue.%I', v_day.name);
        end if;
    end loop;

    execute format('delete from pgqueue.%I a using %s o where o.name = a.queue and a.finished_at < %L::timestamptz - o.keep', v_half, v_own, v_now);
    execute format(
        'delete from pgqueue.%I a where a.finished_at < %L::timestamptz - coalesce((select o.keep from %s o where o.name = a.queue), %L)',
        v_rest, v_now, v_own, p_keep
    );
end;
$$;

comment on function pgqueue.drop_days(text, interval) is 'Applies retention to one half of the archive.';
