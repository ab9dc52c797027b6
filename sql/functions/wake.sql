create or replace function pgqueue.wake(p_queue text, p_run_at timestamptz default null)
returns void
language plpgsql
as $$
-- wake(queue, run_at) → nothing
--
--   Rings the workers of a queue at commit, if any of them sleeps. Every verb that makes a job runnable ends here.
--
--   A transaction that notifies takes a cluster-wide lock at commit, so ringing at each insert would let only one
--   producer commit at a time. Two advisory keys per queue tell whether somebody sleeps, without touching a table:
--     gate    held shared by producers until their transaction ends; a worker about to sleep takes it exclusively for
--             an instant: if it gets it, every producer that could not have seen it has committed, so one more claim
--             finds their jobs;
--     parked  held shared by each sleeping worker; tried exclusively here.
--   Either try (pgqueue.nobody_sleeps) fails: somebody sleeps or is about to, so ring. No try ever waits.
--
-- p_run_at  when the job may start; null or past for now. A later moment goes along, so that a sleeper can set its
--           timer without a query.
-- Writes    nothing; sends a notification on channel pgqueue: 'queue', or 'queue@epoch-seconds'.
-- Locks     gate shared until the transaction ends; parked for an instant.
-- Called by enqueue, enqueue_many, enqueue_plain, enqueue_unique, fail, follow, release, rescue, retry, snooze,
--           start_waiting, take_up.
begin
    if pgqueue.nobody_sleeps(p_queue) then
        return;
    elsif p_run_at > clock_timestamp() then
        perform pg_notify('pgqueue', format('%s@%s', p_queue, extract(epoch from p_run_at)));
    else
        perform pg_notify('pgqueue', p_queue);
    end if;
end;
$$;

comment on function pgqueue.wake(text, timestamptz) is
    'Rings the sleeping workers of a queue when the transaction commits; costs no notification while nobody sleeps.';
