create or replace function pgqueue.wake(p_queue text, p_run_at timestamptz default null)
returns void
language plpgsql
as $$
-- wake(queue, run_at) → nothing
--
--   Rings the workers of a queue at commit, if any of them sleeps. Every verb that makes a job runnable ends here.
--
--   A transaction that notifies takes a cluster-wide lock at commit, so ringing at each insert would let only one
--   producer commit at a time. So it rings only if somebody sleeps, and has no lock to take to know that nobody does.
--   Whether somebody sleeps, says
--     sleepers  a sequence of 64 bits, which changes for everybody at once; a queue's bit is the hash of its name. Clear:
--               nobody sleeps, nor is about to. Set: perhaps, as queues share bits and nobody clears them in haste;
--     parked    an advisory lock of each queue, held shared by its sleeping workers. Asked if the bit is set: tried
--               exclusively, which fails if somebody sleeps, and never waits.
--   The two cannot miss each other. The producer writes its row, so that its transaction has a number and a lock on
--   pgqueue.job until it ends; then it looks (pgqueue.nobody_sleeps). The worker parks and sets the bit (pgqueue.park), and
--   takes a transaction's number; then it looks for older transactions with a lock on pgqueue.job (pgqueue.settled), and
--   claims once more when they have ended. Who looked before the worker was to be seen is older.
--
--   So whoever calls this has written or locked the job's row before. A rescue need not: what it rings for is over.
--
-- p_run_at  when the job may start; null or past for now. A later moment goes along, so that a sleeper can set its
--           timer without a query.
-- Writes    nothing; sends a notification on channel pgqueue: 'queue', or 'queue@epoch-seconds'.
-- Locks     as pgqueue.nobody_sleeps.
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
