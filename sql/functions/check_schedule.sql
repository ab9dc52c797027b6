create or replace function pgqueue.check_schedule(
    p_name text, p_kind text, p_args jsonb, p_cron text, p_every interval, p_tz text, p_queue text, p_options jsonb,
    p_start_at timestamptz, p_end_at timestamptz, p_max_runs integer, p_jitter interval, p_missed integer, p_overlap text,
    p_any_kind boolean
)
returns void
language plpgsql
as $$
-- check_schedule(name, kind, …) → nothing, or an error
--
--   The rules of a schedule. Those of its jobs are pgqueue.check_job's; those inside a cron expression are the owner's.
--
--   A kind is unknown when workers are running and none of them has its handler. While none is running nobody can say.
--
-- Raises    PQ020 for the first rule that is broken; PQ001 for a rule of its jobs.
-- Writes    nothing.
-- Called by pgqueue.schedule.
declare
    v_wrong  text;
    v_job    record;
    v_fields constant integer := cardinality(regexp_split_to_array(btrim(p_cron), '\s+'));
    v_known  boolean;
begin
    -- By using it, not by pg_timezone_names: that reads every file of the time zone database, and fails for all of them
    -- where one is a dangling link, as in slim container images.
    begin
        v_known := (clock_timestamp() at time zone p_tz) is not null;
    exception when invalid_parameter_value then
        v_known := false;
    end;

    v_wrong := case
        when (p_name collate "C" ~ '^[A-Za-z0-9._:-]+$' and octet_length(p_name) <= 255) is not true then
            format('schedule name %s is no name; use 1 to 255 letters, digits, ''.'', ''_'', ''-'', '':''', quote_nullable(left(p_name, 300)))
        when num_nonnulls(p_cron, p_every) <> 1 then
            format('schedule %s needs cron or every, one of them', p_name)
        when octet_length(p_cron) > 255 then
            format('cron expression of %s has %s bytes; the limit is 255', p_name, octet_length(p_cron))
        when p_cron like '@%' and lower(p_cron) not in ('@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly') then
            format('cron expression %s is no nickname; use @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly', quote_literal(p_cron))
        when p_cron not like '@%' and (btrim(p_cron) = '' or v_fields not in (5, 6)) then
            format('cron expression %s has %s fields; use five, minute hour day month weekday, or six with seconds in front', quote_literal(p_cron), case when btrim(p_cron) = '' then 0 else v_fields end)
        when extract(year from p_every) <> 0 or extract(month from p_every) <> 0 then
            format('every %s has no fixed length; use cron for months and years', p_every)
        when p_every < interval '1 second' or p_every > interval '1000 years' then
            format('every %s is out of range; use 1 second to 1000 years', p_every)
        when v_known is not true then
            format('time zone %s is unknown; use a name of the time zone database, such as Europe/Berlin or UTC', quote_nullable(p_tz))
        when p_start_at not between timestamptz '0001-01-02 00:00+00' and timestamptz '9999-12-30 00:00+00'
            or p_end_at not between timestamptz '0001-01-02 00:00+00' and timestamptz '9999-12-30 00:00+00' then
            format('start_at %s or end_at %s of %s is out of range; use the years 1 to 9999', p_start_at, p_end_at, p_name)
        when p_end_at < p_start_at then
            format('end_at %s of %s is before its start_at %s', p_end_at, p_name, p_start_at)
        when p_max_runs < 1 then
            format('max_runs %s is out of range; use at least 1, or leave it out', p_max_runs)
        when p_jitter < interval '0' or p_jitter > interval '1 day' then
            format('jitter %s is out of range; use at most 1 day', p_jitter)
        when (p_missed between 0 and 1000) is not true then
            format('missed %s is out of range; use 0 (skip), 1 (once) to 1000', coalesce(p_missed::text, 'null'))
        when (p_overlap in ('allow', 'skip', 'queue')) is not true then
            format('overlap %s is unknown; use allow, skip or queue', quote_nullable(p_overlap))
        when (jsonb_typeof(p_options) = 'object') is not true then
            format('options of %s are JSON of type %s; they must be an object', p_name, coalesce(jsonb_typeof(p_options), 'null'))
        when p_options ?| '{kind,args,queue,run_at,delay}' then
            format('options of %s hold kind, args, queue, run_at or delay; a schedule has its own', p_name)
    end;
    if v_wrong is not null then
        raise exception using errcode = 'PQ020', message = v_wrong;
    end if;

    select o.* into v_job
    from jsonb_to_record(p_options) as o (priority integer, max_attempts integer, timeout interval, meta jsonb);
    perform pgqueue.check_job(
        p_kind, p_args, p_queue, coalesce(v_job.priority, 5), coalesce(v_job.max_attempts, 20), v_job.timeout, null, null,
        v_job.meta
    );
    if p_any_kind is not true then
        select string_agg(distinct k.kind, ', ' order by k.kind) into v_wrong
        from pgqueue.worker w
        cross join lateral jsonb_object_keys(w.kinds) k (kind)
        where w.died_at is null and w.stopped_at is null and w.heartbeat_at > clock_timestamp() - interval '1 minute'
        having not p_kind = any (array_agg(k.kind));
        if v_wrong is not null then
            raise exception using errcode = 'PQ020',
                message = format('kind %s of schedule %s is known to no running worker; they know: %s', p_kind, p_name, left(v_wrong, 500)),
                hint = 'Deploy its handler first, or say any_kind.';
        end if;
    end if;
end;
$$;

comment on function pgqueue.check_schedule(
    text, text, jsonb, text, interval, text, text, jsonb, timestamptz, timestamptz, integer, interval, integer, text, boolean
) is 'Refuses a schedule that breaks a rule, with SQLSTATE PQ020 and a message that names value and rule.';
