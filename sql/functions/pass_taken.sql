create or replace function pgqueue.pass_taken(
    p_queue text, p_limit integer, inout p_after_run_at timestamptz[], inout p_after_id bigint[]
)
language plpgsql
as $$
-- pass_taken(queue, limit, after_run_at, after_id) → the claim cursors, moved on past jobs that others have
--
--   Workers of one queue take turns, so behind a worker's cursor lies what the others have taken since. Each job that a
--   claim goes past costs three hundredths of one that it takes, and with eight workers it goes past seven for each.
--   They lie together, so a search finds where they end: by leaps that double as long as they land on a job that is
--   taken, and halve from then on. How far it is from one job to the next is looked up, for the first leap; between
--   the cursor and the next job that is left there may have been ten thousand.
--
--   Taken is a job that a worker holds or whose row somebody is changing: a claim would skip it. Of those leapt over
--   one may be free again; it lies behind the cursor then, and is found as all that do, see pgqueue.claim.
--
-- p_limit   jobs the claim wants. For fewer than 32 no leap is worth a look.
-- p_after_* as in pgqueue.claim; what is null stays null.
-- Writes    nothing.
-- Called by pgqueue.claim, whose settings keep the plan to the index.
declare
    v_now     constant timestamptz := clock_timestamp();
    v_times   constant integer := least(p_limit, 1000);
    v_run_at  timestamptz;
    v_id      bigint;
    v_taken   boolean;
    v_looks   integer;                                    -- jobs looked at
    v_leap    interval;                                   -- how far behind the cursor the next look begins,
    v_ids     bigint;                                     -- or, among jobs with one run_at, how many ids
    v_growing boolean;
begin
    for i in 1 .. cardinality(p_after_id) loop
        continue when p_after_id[i] is null or not isfinite(p_after_run_at[i]);
        v_looks := 0;
        v_leap := interval '0';
        v_ids := 0;
        loop
            v_id := null;
            v_taken := null;
            if v_leap <= v_now - p_after_run_at[i] then   -- moments end some day
                v_looks := v_looks + 1;
                select j.run_at, j.id, j.worker is not null or j.xmax <> 0 and pgqueue.under_way(j.xmax)
                into v_run_at, v_id, v_taken
                from pgqueue.job j
                where j.queue = p_queue
                    and j.priority = (i - 1)::smallint
                    and j.run_at <= v_now
                    and (j.run_at, j.id) > (p_after_run_at[i] + v_leap, p_after_id[i] + v_ids)
                order by j.run_at, j.id
                limit 1;
            end if;

            if v_taken then
                if v_leap = interval '0' and v_ids = 0 then
                    v_growing := true;
                    if v_looks > 1 then                   -- the cursor is a job too: so far is it to the next
                        v_leap := (v_run_at - p_after_run_at[i]) * v_times;
                        if v_leap = interval '0' then
                            v_ids := least(v_id - p_after_id[i], 1000) * v_times;
                        end if;
                    end if;
                elsif v_ids > 0 and v_run_at > p_after_run_at[i] then
                    v_leap := v_run_at - p_after_run_at[i];
                    v_ids := 0;
                else
                    v_leap := case when v_growing then v_leap * 2 else v_leap / 2 end;
                    v_ids := case when v_growing then v_ids * 2 else v_ids / 2 end;
                end if;
                p_after_run_at[i] := v_run_at;
                p_after_id[i] := v_id;
            else
                if v_looks = 1 and not v_taken then       -- the claim need not look anew at what is dead before it
                    p_after_run_at[i] := v_run_at;
                    p_after_id[i] := v_id - 1;
                end if;
                exit when v_leap = interval '0' and v_ids = 0;
                exit when v_id - p_after_id[i] between 1 and 64;     -- a look costs as much as to go past so many
                v_leap := v_leap / 2;
                v_ids := v_ids / 2;
                v_growing := false;
            end if;
            exit when v_looks = 32;                       -- enough, wherever it is
        end loop;
    end loop;
end;
$$;

comment on function pgqueue.pass_taken(text, integer, timestamptz[], bigint[]) is
    'Moves claim cursors on past jobs that other workers have, by leaps instead of row by row.';
