-- Who holds which key. Written when a job is enqueued with a key, and by nothing that a worker does: whether the holder
-- still stands in the way is decided by the next one who wants the key, from the holder's job.
--
-- The constraint is a unique one on (scope, key): its third part is the holder's number written as a length of time that
-- is always zero, so many months and as much less in days and hours. All of them are equal, so there is one row for each
-- key; and they read differently, so the error names the holder. That is how pgqueue.key_holder finds it past an old
-- snapshot. See docs/decisions.
create table pgqueue.unique_key (
    scope     text        collate "C" not null,
    key       text        collate "C" not null,
    job       bigint      not null,
    until     text        collate "C",
    free_at   timestamptz,
    waits_for bigint,
    run_at    timestamptz,
    constraint unique_key_held_once exclude using btree (
        scope with =, key with =,
        make_interval(
            months => (job % 67108864)::integer, days => (job / 67108864 - 30 * (job % 67108864))::integer,
            secs => (-86400 * (job / 67108864))::double precision
        ) with =
    )
);

create index unique_key_waiting on pgqueue.unique_key (waits_for) where waits_for is not null;

comment on table pgqueue.unique_key is 'Which job holds which key, for pgqueue.enqueue(…, unique_key => …). Rows whose job is done are forgotten later.';
comment on column pgqueue.unique_key.scope is 'Kind of the job, or the name given as unique_scope: the same key of another scope is another key.';
comment on column pgqueue.unique_key.key is 'The key, 1 to 1024 bytes.';
comment on column pgqueue.unique_key.job is 'pgqueue.jobs.id of the holder.';
comment on column pgqueue.unique_key.until is 'started: held while the job waits; finished: while it waits or runs; null: for the period only.';
comment on column pgqueue.unique_key.free_at is 'Held until this moment in any case; null: no period was given.';
comment on column pgqueue.unique_key.waits_for is 'The job in progress that the holder must not overtake; null for none.';
comment on column pgqueue.unique_key.run_at is 'When the holder may start once the job in progress is done; null unless it waits for one.';
