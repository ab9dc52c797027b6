create or replace function pgqueue.check_unique(
    p_key text, p_scope text, p_until text, p_for interval, p_on_conflict text
)
returns void
language plpgsql
immutable
as $$
-- check_unique(key, scope, until, for, on conflict) → nothing, or an error
--
--   The rules of a key, as pgqueue.check_job has those of a job.
--
-- Raises    PQ001 for the first rule that is broken.
-- Writes    nothing.
-- Called by pgqueue.enqueue_unique.
begin
    if (octet_length(p_key) between 1 and 1024) is not true then
        raise exception 'unique_key % has % bytes; use 1 to 1024, and for what is longer its hash', left(quote_nullable(p_key), 80), coalesce(octet_length(p_key), 0)
            using errcode = 'PQ001';
    elsif p_scope is not null and not (p_scope collate "C" ~ '^[A-Za-z0-9._:-]+$' and octet_length(p_scope) <= 255) then
        raise exception 'unique_scope % is no name; use 1 to 255 letters, digits, ''.'', ''_'', ''-'', '':''', quote_nullable(p_scope)
            using errcode = 'PQ001';
    elsif p_until not in ('started', 'finished') then
        raise exception 'unique_until % is unknown; use started or finished', quote_literal(p_until) using errcode = 'PQ001';
    elsif p_for not between interval '1 microsecond' and interval '1000 years' then
        raise exception 'unique_for % is out of range; use more than nothing and at most 1000 years', p_for using errcode = 'PQ001';
    elsif p_on_conflict not in ('keep', 'replace', 'debounce', 'debounce_replace', 'latest') then
        raise exception 'on_conflict % is unknown; use keep, replace, debounce, debounce_replace or latest', quote_literal(p_on_conflict)
            using errcode = 'PQ001';
    elsif p_on_conflict = 'latest' and (p_until = 'started' or p_for is not null) then
        raise exception 'on_conflict latest waits for the running job to finish; leave out unique_for, and unique_until or set it to finished'
            using errcode = 'PQ001';
    end if;
end;
$$;

comment on function pgqueue.check_unique(text, text, text, interval, text) is
    'Refuses a key that breaks a rule, with SQLSTATE PQ001 and a message that names value and rule.';
