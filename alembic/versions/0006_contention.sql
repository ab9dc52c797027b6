-- Which queues may have a sleeping worker, so that a producer need not take a lock to know; see pgqueue.wake. At first
-- any may: workers sleep already.
create unlogged sequence pgqueue.sleepers minvalue -9223372036854775808 start with -1;

comment on sequence pgqueue.sleepers is
    'Bits of the queues that may have a sleeping worker, or one that is about to; while it was not called yet, all of them.';

grant select, update on sequence pgqueue.sleepers to public;
