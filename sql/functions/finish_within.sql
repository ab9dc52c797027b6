create or replace function pgqueue.finish_within(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_results jsonb[], p_mark text,
    p_result_ttls interval[] default null
)
returns void
language plpgsql
as $$
-- finish_within(worker, ids, claims, results, mark, result_ttls) → nothing, or an error that undoes the transaction
--
--   Completes jobs in the transaction of their handler, as its last statement: what the handler wrote and the outcome
--   are committed together, or neither is.
--
--   From here to the commit the jobs' rows are locked and a rescue would wait for them. A session that keeps them for
--   ten seconds, because its machine froze or vanished, is ended by the server.
--
-- p_mark    what the worker set as pgqueue.handler, for this transaction, when it began. If it is not there, somebody
--           has ended that transaction meanwhile, and what the handler did before is not in this one.
-- p_results one per id, or null when no handler returned anything. p_result_ttls: as finish.
-- Raises    PQ002 when a claim was lost; PQ006 when the mark is not there.
-- Writes    as pgqueue.finish, for all or none.
-- Locks     as pgqueue.finish, until the transaction ends.
-- Called by pgqueue/worker/transaction.py.
declare
    v_lost bigint[];
begin
    if current_setting('pgqueue.handler', true) is distinct from p_mark then
        raise exception using errcode = 'PQ006',
            message = format('the transaction of job %s was committed or rolled back by its handler', array_to_string(p_ids, ', ')),
            hint = 'Leave that to the worker; use a savepoint to undo a part.';
    end if;
    perform set_config('idle_in_transaction_session_timeout', '10s', true);
    v_lost := array(select f.id from pgqueue.finish(p_worker, p_ids, p_claims, p_results, p_result_ttls) f (id) order by f.id);
    if cardinality(v_lost) > 0 then
        perform pgqueue.refuse_claim(v_lost);
    end if;
end;
$$;

comment on function pgqueue.finish_within(bigint, bigint[], integer[], jsonb[], text, interval[]) is
    'Completes jobs in the transaction of their handler; an error when a claim was lost, so that all of it is undone.';
