-- Which queues may have a sleeping worker: 64 bits that everybody sees change at once, whatever their snapshot, and that
-- cost no lock to look at. No table can do that, and a sequence is the only other thing that Postgres shares. Queues
-- share bits; see pgqueue.wake.
--
-- Not called yet, as it is at first, says that any may: so it is after a crash of the server, which is why it is
-- unlogged, on a standby that was promoted, and after the migration that made it, when workers sleep already.
create unlogged sequence pgqueue.sleepers minvalue -9223372036854775808 start with -1;

comment on sequence pgqueue.sleepers is
    'Bits of the queues that may have a sleeping worker, or one that is about to; while it was not called yet, all of them.';

-- Producers look and workers set bits with their own rights, which never had to name a sequence. It tells nobody
-- anything, and who may connect could keep workers from sleeping by the advisory locks as well.
grant select, update on sequence pgqueue.sleepers to public;
