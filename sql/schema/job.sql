-- Live jobs only: scheduled, ready, running. A finished job leaves for pgqueue.job_archive, so this table stays
-- as small as the backlog.
--
-- fillfactor 45 and the choice of index keep a claim a HOT update: none of the columns that a claim writes is
-- indexed, and the new row version finds room on its page. Before adding an index, read docs/decisions.
create table pgqueue.job (
    id           bigint      not null generated always as identity,
    run_at       timestamptz not null default clock_timestamp(),
    created_at   timestamptz not null default clock_timestamp(),
    claimed_at   timestamptz,
    worker       bigint,
    claims       integer     not null default 0,
    priority     smallint    not null default 5,
    attempt      smallint    not null default 0,
    max_attempts smallint    not null default 20,
    queue        text        collate "C" not null default 'default',
    kind         text        collate "C" not null,
    args         jsonb       not null default '{}',
    timeout      interval,
    expires_at   timestamptz,
    unique_key   text        collate "C",
    meta         jsonb,
    cancel_reason text,
    constraint job_pkey primary key (id)
) with (
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- The predicate is always true, and only what asks for a queue can use the index: in a table of one row it would look
-- as good as job_pkey for finding an id, and a plan made then is kept when there are a million.
create index job_ready on pgqueue.job (queue, priority, run_at, id) where queue is not null;

-- Only jobs that can expire are in it. None of the columns that a claim writes may be, not even in the predicate.
create index job_expiring on pgqueue.job (expires_at) where expires_at is not null;

comment on table pgqueue.job is 'Live jobs: scheduled, ready and running. Written by the functions of this schema only; read the view pgqueue.jobs.';
comment on column pgqueue.job.id is 'The job''s number, for life: it stays the same in job_archive and after a retry.';
comment on column pgqueue.job.run_at is 'Not started before this moment, by the database''s clock. Orders jobs of one priority.';
comment on column pgqueue.job.created_at is 'When it was enqueued.';
comment on column pgqueue.job.claimed_at is 'When the running attempt was claimed; null while nobody holds the job.';
comment on column pgqueue.job.worker is 'pgqueue.worker.id that holds the job; null while it waits.';
comment on column pgqueue.job.claims is 'How often the job was claimed, ever: the fencing token. Never goes back.';
comment on column pgqueue.job.priority is '0 (first) to 9 (last).';
comment on column pgqueue.job.attempt is 'Attempts started, the running one included. A release takes one back.';
comment on column pgqueue.job.max_attempts is 'The attempt after which a failure is final.';
comment on column pgqueue.job.queue is 'Letters, digits, ''.'', ''_'', ''-''; at most 63 bytes.';
comment on column pgqueue.job.kind is 'Name under which workers registered the handler.';
comment on column pgqueue.job.args is 'Keyword arguments of the handler, a JSON object.';
comment on column pgqueue.job.timeout is 'Longest run time of one attempt; null: as the handler says.';
comment on column pgqueue.job.expires_at is 'Not started after this moment: it ends as expired; null: never.';
comment on column pgqueue.job.unique_key is 'The key it was enqueued under, so that no second one is; null for none.';
comment on column pgqueue.job.meta is 'What else its handler is told, a JSON object: version of the arguments, schedule, due_at; null for nothing.';
comment on column pgqueue.job.cancel_reason is 'Set while a worker that runs the job is asked to stop it: ends as cancelled, not retried.';
