create or replace function pgqueue.try_key(
    p_scope text, p_key text, p_job bigint, p_until text, p_free_at timestamptz, p_on_conflict text, p_run_at timestamptz,
    out holder bigint, out verdict text
)
language plpgsql
as $$
-- try_key(scope, key, job, until, free at, on conflict, run at) → the key's holder, and what is to be done
--
--   Takes a key for a job about to be inserted. A key is never given back: whether its holder still stands in the way is
--   asked here, of the holder's job, so that claiming and finishing cost nothing.
--
--   Who only keeps the holder takes no lock on the key: producers that meet at one key do not wait for each other.
--
-- Returns   verdict: taken: insert the job. behind: insert it, to wait until the running one is done. waiting: the
--           holder waits and is locked: change it. kept: leave it.
-- Raises    40001 in a transaction with a snapshot of its own, when the key or its job changed since.
-- Writes    pgqueue.unique_key: one row, unless kept.
-- Locks     the key's row unless kept; waits for a transaction that is taking the key. As pgqueue.job_now.
-- Called by pgqueue.take_key.
declare
    v_key    pgqueue.unique_key;
    v_locked boolean := p_on_conflict <> 'keep';
    v_state  text;
    v_blocks boolean;
begin
    loop
        insert into pgqueue.unique_key (scope, key, job, until, free_at)
        values (p_scope, p_key, p_job, p_until, p_free_at)
        on conflict do nothing;
        if found then
            holder := p_job;
            verdict := 'taken';
            return;
        end if;

        if v_locked then                                  -- an update, for an older snapshot to notice
            update pgqueue.unique_key u set job = u.job where u.scope = p_scope and u.key = p_key returning u.* into v_key;
        else
            select u.* into v_key from pgqueue.unique_key u where u.scope = p_scope and u.key = p_key;
        end if;
        continue when not found;                          -- forgotten or released meanwhile

        holder := v_key.job;
        v_state := pgqueue.job_now(holder, case when v_locked then 'update' when v_key.until = 'started' then 'share' end);
        if v_state is null and v_key.waits_for is not null then
            holder := v_key.waits_for;
            v_state := pgqueue.job_now(holder, case when v_locked then 'update' end);
        end if;
        v_blocks := coalesce(v_key.free_at > clock_timestamp(), false)
            or coalesce(v_key.until = 'finished' and v_state is not null, false)
            or coalesce(v_key.until = 'started' and v_state = 'waiting', false);
        exit when v_blocks or v_locked;
        v_locked := true;                                 -- and look again, now that nobody else can take it
    end loop;

    if not v_blocks then
        update pgqueue.unique_key u
        set job = p_job, until = p_until, free_at = p_free_at, waits_for = null, run_at = null
        where u.scope = p_scope and u.key = p_key;
        holder := p_job;
        verdict := 'taken';
    elsif v_state = 'waiting' and p_on_conflict <> 'keep' then
        verdict := 'waiting';
    elsif v_state = 'running' and p_on_conflict = 'latest' then
        update pgqueue.unique_key u
        set job = p_job, until = p_until, waits_for = holder, run_at = p_run_at
        where u.scope = p_scope and u.key = p_key;
        holder := p_job;
        verdict := 'behind';
    else
        verdict := 'kept';
    end if;
end;
$$;

comment on function pgqueue.try_key(text, text, bigint, text, timestamptz, text, timestamptz) is
    'Takes a key for a job, or tells who holds it; may be refused in a transaction with a snapshot of its own.';
