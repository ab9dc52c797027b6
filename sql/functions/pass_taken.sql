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
--   taken, and halve from then on. The first is as many times the way to the next job as there are jobs to claim.
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
    v_run_at  timestamptz;
    v_id      bigint;
    v_taken   boolean;
    v_apart   interval;                                   -- from one job to the next,
    v_ids     bigint;                                     -- or, if they have the same run_at, from id to id
    v_leap    double precision;                           -- so many times; 0: a look at the next job
    v_growing boolean;
begin
    for i in 1 .. cardinality(p_after_id) loop
        continue when p_after_id[i] is null or not isfinite(p_after_run_at[i]);
        v_apart := interval '0';
        v_ids := 0;
        v_leap := 0;
        v_growing := true;
        loop
            v_taken := null;
            if v_leap * v_apart <= v_now - p_after_run_at[i] then    -- moments end some day
                select j.run_at, j.id, j.worker is not null or j.xmax <> 0 and pgqueue.under_way(j.xmax)
                into v_run_at, v_id, v_taken
                from pgqueue.job j
                where j.queue = p_queue
                    and j.priority = (i - 1)::smallint
                    and j.run_at <= v_now
                    and (j.run_at, j.id) > (
                        p_after_run_at[i] + v_leap * v_apart, p_after_id[i] + (v_leap * v_ids)::bigint
                    )
                order by j.run_at, j.id
                limit 1;
            end if;

            if v_taken then
                if v_apart = interval '0' and v_run_at > p_after_run_at[i] then
                    v_apart := greatest((v_run_at - p_after_run_at[i]) / greatest(v_leap, 1), interval '1 microsecond');
                    v_ids := 0;
                elsif v_leap = 0 then
                    v_ids := least(v_id - p_after_id[i], 1000);
                end if;
                p_after_run_at[i] := v_run_at;
                p_after_id[i] := v_id;
                v_leap := case
                    when v_leap = 0 then least(p_limit, 1000)
                    when v_growing then v_leap * 2
                    else v_leap / 2
                end;
            elsif v_leap = 0 then
                if not v_taken then                       -- the claim need not look anew at what is dead before it
                    p_after_run_at[i] := v_run_at;
                    p_after_id[i] := v_id - 1;
                end if;
                exit;
            else
                v_leap := v_leap / 2;
                v_growing := false;
            end if;
            exit when v_leap < 32;                        -- a look reads a page of the index: worth as many rows
        end loop;
    end loop;
end;
$$;

comment on function pgqueue.pass_taken(text, integer, timestamptz[], bigint[]) is
    'Moves claim cursors on past jobs that other workers have, by leaps instead of row by row.';
