create or replace function pgqueue.check_job(
    p_kind text, p_args jsonb, p_queue text, p_priority integer, p_max_attempts integer, p_timeout interval,
    p_run_at timestamptz, p_delay interval, p_meta jsonb, p_expires_at timestamptz default null, p_expires_in interval default null
)
returns void
language plpgsql
immutable
as $$
-- check_job(kind, args, queue, …) → nothing, or an error
--
--   The rules of a job for every way in. The message names the value and the rule. enqueue and enqueue_many let pass by
--   themselves what plainly keeps them, and leave the rest to this: a rule of a number that gets narrower gets so there
--   too. Those of kind, queue and args stand in functions that all share.
--
--   Times stay within what every client can read: a job whose run_at or timeout is no date or duration in the worker's
--   language would fail the whole batch it is claimed with, again and again.
--
--   The size of args is that of their text, which a client can tell beforehand. As stored, numbers take up to six times
--   that; text is only made of args that are stored large.
--
--   There is an if for each rule, not one expression for all: a transaction pays for every part of an expression it comes
--   to, whether that part is needed or not, and the messages were most of it.
--
-- Raises    PQ001 for the first rule that is broken.
-- Writes    nothing.
-- Called by pgqueue.enqueue, enqueue_many and check_schedule.
begin
    if pgqueue.is_kind(p_kind) is not true then
        raise exception 'job kind % is no name; use 1 to 255 letters, digits, ''.'', ''_'', ''-'', '':''', quote_nullable(p_kind)
            using errcode = 'PQ001';
    end if;
    if pgqueue.is_queue(p_queue) is not true then
        raise exception 'queue name % is no name; use 1 to 63 letters, digits, ''.'', ''_'', ''-''', quote_nullable(p_queue)
            using errcode = 'PQ001';
    end if;
    if (jsonb_typeof(p_args) = 'object') is not true then
        raise exception 'args of % are JSON of type %; they must be an object, one key per argument', p_kind, coalesce(jsonb_typeof(p_args), 'null')
            using errcode = 'PQ001';
    end if;
    if not pgqueue.are_args(p_args) then
        if octet_length(p_args::text) > 1048576 then
            raise exception 'args of % take % bytes; the limit is 1048576: store the data elsewhere and pass its key', p_kind, octet_length(p_args::text)
                using errcode = 'PQ001';
        end if;
    end if;
    if (p_priority between 0 and 9) is not true then
        raise exception 'priority % is out of range; use 0 (first) to 9 (last)', coalesce(p_priority::text, 'null')
            using errcode = 'PQ001';
    end if;
    if (p_max_attempts between 1 and 32767) is not true then
        raise exception 'max_attempts % is out of range; use 1 to 32767', coalesce(p_max_attempts::text, 'null')
            using errcode = 'PQ001';
    end if;
    if p_timeout is not null then
        if p_timeout <= interval '0' then
            raise exception 'timeout % is not positive; leave it out for none', p_timeout using errcode = 'PQ001';
        elsif p_timeout > interval '1000 years' then
            raise exception 'timeout % is out of range; use at most 1000 years', p_timeout using errcode = 'PQ001';
        end if;
    end if;
    if p_run_at is not null then
        if p_delay is not null then
            raise exception 'both run_at % and delay % were given; give one', p_run_at, p_delay using errcode = 'PQ001';
        elsif p_run_at not between timestamptz '0001-01-02 00:00+00' and timestamptz '9999-12-30 00:00+00' then
            raise exception 'run_at % is out of range; use the years 1 to 9999', p_run_at using errcode = 'PQ001';
        end if;
    end if;
    if p_meta is not null then
        if jsonb_typeof(p_meta) <> 'object' then
            raise exception 'meta of % is JSON of type %; it must be an object', p_kind, jsonb_typeof(p_meta)
                using errcode = 'PQ001';
        elsif pg_column_size(p_meta) > 65536 then
            raise exception 'meta of % takes % bytes; the limit is 65536', p_kind, pg_column_size(p_meta) using errcode = 'PQ001';
        end if;
    end if;
    if p_delay is not null then
        if p_delay not between interval '0' and interval '1000 years' then
            raise exception 'delay % is out of range; use 0 to 1000 years', p_delay using errcode = 'PQ001';
        end if;
    end if;
    if p_expires_in is not null then
        if p_expires_at is not null then
            raise exception 'both expires_at % and expires_in % were given; give one', p_expires_at, p_expires_in
                using errcode = 'PQ001';
        elsif p_expires_in not between interval '1 microsecond' and interval '1000 years' then
            raise exception 'expires_in % is out of range; use more than nothing and at most 1000 years', p_expires_in
                using errcode = 'PQ001';
        end if;
    end if;
    if p_expires_at is not null then
        if p_expires_at not between timestamptz '0001-01-02 00:00+00' and timestamptz '9999-12-30 00:00+00' then
            raise exception 'expires_at % is out of range; use the years 1 to 9999', p_expires_at using errcode = 'PQ001';
        elsif p_expires_at <= p_run_at then
            raise exception 'expires_at % is not after run_at %: it could never start', p_expires_at, p_run_at
                using errcode = 'PQ001';
        end if;
    end if;
end;
$$;

comment on function pgqueue.check_job(text, jsonb, text, integer, integer, interval, timestamptz, interval, jsonb, timestamptz, interval) is
    'Refuses a job that breaks a rule, with SQLSTATE PQ001 and a message that names value and rule.';
