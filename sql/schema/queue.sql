-- Settings of a queue that differ from the defaults. A queue needs no row to exist.
create table pgqueue.queue (
    name           text collate "C" not null,
    keep_completed interval,
    keep_ended     interval,
    lifo           boolean not null default false,
    constraint queue_pkey primary key (name),
    constraint queue_keep_completed_positive check (keep_completed >= interval '0'),
    constraint queue_keep_ended_positive check (keep_ended >= interval '0')
);

-- What every exchange reads; empty where no queue is set so.
create index queue_lifo on pgqueue.queue (name) where lifo;

comment on table pgqueue.queue is 'Settings of queues that differ from the defaults; a queue needs no row to exist.';
comment on column pgqueue.queue.name is 'As in pgqueue.job.queue.';
comment on column pgqueue.queue.keep_completed is 'How long completed jobs stay in the archive; null: 1 day.';
comment on column pgqueue.queue.keep_ended is 'How long failed, cancelled and expired jobs stay in the archive; null: 14 days.';
comment on column pgqueue.queue.lifo is 'Whether the newest ready job of a priority starts first; false: the oldest.';
