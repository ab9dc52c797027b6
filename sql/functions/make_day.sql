create or replace function pgqueue.make_day(p_half text, p_day date)
returns void
language plpgsql
as $$
-- make_day(half, day) → nothing
--
--   Makes one day's partition of a half of the archive ('completed' or 'ended'), unless it exists. Rows of that day
--   that already came, because nobody had made it, move in.
--
--   Attached, not created in place: attaching lets readers and writers of the archive go on. Only for a day that has
--   begun do writers wait: a row on its way to the default partition would make the attaching fail, or fail itself.
--
-- Writes    a table pgqueue.job_archive_<half>_<yyyymmdd>.
-- Locks     the half against writers if the day has begun, its default partition in any case, until the transaction ends.
-- Called by pgqueue.maintain.
declare
    v_half    constant text := 'job_archive_' || p_half;
    v_name    constant text := format('%s_%s', v_half, to_char(p_day, 'YYYYMMDD'));
    v_from    constant timestamptz := p_day::timestamp at time zone 'UTC';
    v_to      constant timestamptz := (p_day + 1)::timestamp at time zone 'UTC';
begin
    if to_regclass('pgqueue.' || v_name) is not null then
        return;
    end if;
    if v_from <= clock_timestamp() then
        execute format('lock table pgqueue.%I in share row exclusive mode', v_half);
    end if;
    execute format('create table pgqueue.%I (like pgqueue.%I including all)', v_name, v_half);
    execute format(
        'with early as (delete from pgqueue.%I d where d.finished_at >= %L and d.finished_at < %L returning d.*)
         insert into pgqueue.%I select e.* from early e',
        v_half || '_default', v_from, v_to, v_name
    );
    execute format(
        'alter table pgqueue.%I attach partition pgqueue.%I for values from (%L) to (%L)', v_half, v_name, v_from, v_to
    );
    execute format('comment on table pgqueue.%I is %L', v_name, format('Jobs of job_archive_%s that finished on %s (UTC).', p_half, p_day));
end;
$$;

comment on function pgqueue.make_day(text, date) is 'Makes one day''s partition of one half of the archive.';
