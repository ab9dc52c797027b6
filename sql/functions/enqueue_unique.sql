create or replace function pgqueue.enqueue_unique(
    p_kind text, p_args jsonb, p_queue text, p_priority integer, p_run_at timestamptz, p_max_attempts integer,
    p_timeout interval, p_meta jsonb, p_expires_at timestamptz,
    p_key text, p_scope text, p_until text, p_for interval, p_on_conflict text,
    out id bigint, out created boolean
)
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- enqueue_unique(kind, …, expires at, key, scope, until, for, on conflict) → id, created
--
--   Adds a job unless another one holds its key. Then that one is kept, or changed as on_conflict says; it is never an
--   error. The plans of all that is called from here are pinned here: rows are found by their keys, whatever the
--   statistics say.
--
-- p_key     1 to 1024 bytes. p_scope: the name in whose bounds the key is unique; null: the kind.
-- p_until   started: held while the job waits. finished: while it waits or runs. Null: finished, or with p_for neither.
-- p_for     held for so long from now on, also when the job is done; null: no longer than p_until says.
-- p_on_conflict what becomes of a waiting holder of the same kind. keep, or null: nothing. replace: it becomes what is
--           given here, but for its id, queue and time. debounce: its time becomes the one given here. debounce_replace:
--           both. latest: as replace, and while the holder runs one more job may wait until it is done.
-- Returns   created: false when another job holds the key; id is then the holder's.
-- Raises    PQ001 when a value breaks a rule.
-- Writes    pgqueue.unique_key, pgqueue.job: one row each.
-- Locks     as pgqueue.take_key, the job it changes, as pgqueue.wake.
-- Called by pgqueue.enqueue.
declare
    v_id       constant bigint := nextval('pgqueue.job_id_seq');
    v_scope    constant text := coalesce(p_scope, p_kind);
    v_until    constant text := coalesce(p_until, case when p_for is null then 'finished' end);
    v_conflict constant text := coalesce(p_on_conflict, 'keep');
    v_held     constant timestamptz := '9999-12-30 00:00+00';      -- of a job that waits for another
    v_verdict  text;
begin
    perform pgqueue.check_unique(p_key, p_scope, p_until, p_for, p_on_conflict);
    select t.holder, t.verdict into enqueue_unique.id, v_verdict
    from pgqueue.take_key(v_scope, p_key, v_id, v_until, clock_timestamp() + p_for, v_conflict, p_run_at) t;
    created := v_verdict in ('taken', 'behind');

    if created then
        insert into pgqueue.job (
            id, kind, args, queue, priority, run_at, created_at, max_attempts, timeout, meta, expires_at, unique_key
        )
        overriding system value
        values (
            v_id, p_kind, p_args, p_queue, p_priority, case when v_verdict = 'behind' then v_held else p_run_at end,
            clock_timestamp(), p_max_attempts, p_timeout, p_meta, p_expires_at, p_key
        );
        perform pgqueue.wake(p_queue, p_run_at) where v_verdict = 'taken';
    elsif v_verdict = 'waiting' then
        update pgqueue.unique_key u set run_at = p_run_at
        where u.scope = v_scope and u.key = p_key and u.waits_for is not null and v_conflict in ('debounce', 'debounce_replace');

        with changed as (
            update pgqueue.job j
            set run_at = case when v_conflict in ('debounce', 'debounce_replace') and j.run_at < v_held then p_run_at else j.run_at end,
                args = case when v_conflict <> 'debounce' then p_args else j.args end,
                priority = case when v_conflict <> 'debounce' then p_priority else j.priority end,
                max_attempts = case when v_conflict <> 'debounce' then p_max_attempts else j.max_attempts end,
                timeout = case when v_conflict <> 'debounce' then p_timeout else j.timeout end,
                meta = case when v_conflict <> 'debounce' then p_meta else j.meta end,
                expires_at = case when v_conflict <> 'debounce' then p_expires_at else j.expires_at end
            where j.id = enqueue_unique.id and j.worker is null and j.kind = p_kind
            returning j.queue, j.run_at
        )
        select pgqueue.wake(c.queue, c.run_at) from changed c into v_verdict;
    end if;
end;
$$;

comment on function pgqueue.enqueue_unique(
    text, jsonb, text, integer, timestamptz, integer, interval, jsonb, timestamptz, text, text, text, interval, text
) is 'Adds a job under a key, or keeps or changes the one that holds the key; what pgqueue.enqueue does when given a key.';
