-- Step 0001: the tables as they were in sql/schema at that time. Frozen.
-- The schema and its table alembic_version are there already.
comment on schema pgqueue is
    'Job queue. Enqueue with pgqueue.enqueue(kind, args, …); look with the views jobs, queue_stats and workers.';
comment on table pgqueue.alembic_version is 'Revision of this schema; clients and workers refuse any other than their own.';
comment on column pgqueue.alembic_version.version_num is 'Newest step of alembic/versions that was applied.';

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

-- Finished jobs. Two halves, because they are kept for different times: completed, and ended otherwise. Each half is
-- partitioned by the day of finished_at, so retention drops a table instead of deleting rows. The worker makes the
-- days ahead (pgqueue.maintain); a row whose day nobody made lands in the half's default partition.
create table pgqueue.job_archive (
    id           bigint      not null,
    run_at       timestamptz not null,
    created_at   timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz not null,
    worker       bigint,
    claims       integer     not null,
    priority     smallint    not null,
    attempt      smallint    not null,
    max_attempts smallint    not null,
    state        text        collate "C" not null,
    queue        text        collate "C" not null,
    kind         text        collate "C" not null,
    args         jsonb       not null,
    timeout      interval,
    result       jsonb,
    error        text
) partition by list (state);

create table pgqueue.job_archive_completed partition of pgqueue.job_archive
    for values in ('completed') partition by range (finished_at);
create table pgqueue.job_archive_completed_default partition of pgqueue.job_archive_completed default;

create table pgqueue.job_archive_ended partition of pgqueue.job_archive
    for values in ('failed', 'cancelled', 'expired') partition by range (finished_at);
create table pgqueue.job_archive_ended_default partition of pgqueue.job_archive_ended default;

create index job_archive_id on pgqueue.job_archive (id);

comment on table pgqueue.job_archive is 'Finished jobs, by outcome and day. Insert-only; retention drops whole days. Read the view pgqueue.jobs.';
comment on column pgqueue.job_archive.id is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.run_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.created_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.started_at is 'When the last attempt was claimed; null if the job never started.';
comment on column pgqueue.job_archive.finished_at is 'When the outcome was recorded.';
comment on column pgqueue.job_archive.worker is 'pgqueue.worker.id of the last attempt; null if the job never started.';
comment on column pgqueue.job_archive.claims is 'As in pgqueue.job; goes on from here if the job is retried.';
comment on column pgqueue.job_archive.priority is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.attempt is 'Attempts that were started.';
comment on column pgqueue.job_archive.max_attempts is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.state is 'completed, failed (a dead letter), cancelled or expired.';
comment on column pgqueue.job_archive.queue is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.kind is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.args is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.timeout is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.result is 'What the handler returned; null for nothing.';
comment on column pgqueue.job_archive.error is 'Why it did not complete: the last error, or the reason for a cancel.';
comment on table pgqueue.job_archive_completed is 'The half of job_archive with completed jobs.';
comment on table pgqueue.job_archive_completed_default is 'Completed jobs of days without a partition of their own.';
comment on table pgqueue.job_archive_ended is 'The half of job_archive with failed, cancelled and expired jobs.';
comment on table pgqueue.job_archive_ended_default is 'Failed, cancelled and expired jobs of days without a partition of their own.';

-- One row per attempt that did not succeed, so that the story of a job survives its retries. A job that completes at
-- once costs nothing here.
create table pgqueue.attempt (
    job         bigint      not null,
    claims      integer     not null,
    attempt     smallint    not null,
    worker      bigint      not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    error       text        not null,
    traceback   text,
    constraint attempt_pkey primary key (job, claims)
);

create index attempt_finished_at on pgqueue.attempt using brin (finished_at);

comment on table pgqueue.attempt is 'Attempts that failed, timed out or died with their worker, one row each.';
comment on column pgqueue.attempt.job is 'pgqueue.jobs.id.';
comment on column pgqueue.attempt.claims is 'The claim under which it ran: together with job, unique for ever.';
comment on column pgqueue.attempt.attempt is 'Which attempt it was, from 1; starts again after a retry by hand.';
comment on column pgqueue.attempt.worker is 'pgqueue.worker.id that ran it.';
comment on column pgqueue.attempt.started_at is 'When it was claimed.';
comment on column pgqueue.attempt.finished_at is 'When the failure was recorded.';
comment on column pgqueue.attempt.error is 'Type and message of the error, one line.';
comment on column pgqueue.attempt.traceback is 'Where it was raised; null when the worker could not tell (it died).';

-- Settings of a queue that differ from the defaults. A queue needs no row to exist.
create table pgqueue.queue (
    name           text collate "C" not null,
    keep_completed interval,
    keep_ended     interval,
    constraint queue_pkey primary key (name),
    constraint queue_keep_completed_positive check (keep_completed >= interval '0'),
    constraint queue_keep_ended_positive check (keep_ended >= interval '0')
);

comment on table pgqueue.queue is 'Settings of queues that differ from the defaults; a queue needs no row to exist.';
comment on column pgqueue.queue.name is 'As in pgqueue.job.queue.';
comment on column pgqueue.queue.keep_completed is 'How long completed jobs stay in the archive; null: 1 day.';
comment on column pgqueue.queue.keep_ended is 'How long failed, cancelled and expired jobs stay in the archive; null: 14 days.';

-- Worker processes. Alive is who holds the session advisory lock on the id, or has beaten lately (pgqueue.rescue).
-- A low fillfactor keeps the beats HOT.
create table pgqueue.worker (
    id           bigint      not null generated always as identity,
    name         text        not null,
    host         text        not null,
    pid          integer     not null,
    version      text        not null,
    queues       jsonb       not null,
    running      integer     not null default 0,
    started_at   timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    stopping     boolean     not null default false,
    stopped_at   timestamptz,
    died_at      timestamptz,
    swept_at     timestamptz,
    constraint worker_pkey primary key (id)
) with (fillfactor = 20);

comment on table pgqueue.worker is 'Worker processes, and for a day those that ended. Read the view pgqueue.workers.';
comment on column pgqueue.worker.id is 'One life of one process; a worker that was declared dead comes back under a new id.';
comment on column pgqueue.worker.name is 'host:pid, or what --name said.';
comment on column pgqueue.worker.host is 'Host name of the machine it runs on.';
comment on column pgqueue.worker.pid is 'Process id there.';
comment on column pgqueue.worker.version is 'Version of pgqueue it runs.';
comment on column pgqueue.worker.queues is 'Queues it serves and the slots of each, {"billing": 50}.';
comment on column pgqueue.worker.running is 'Jobs it was running at the last heartbeat.';
comment on column pgqueue.worker.started_at is 'When it registered.';
comment on column pgqueue.worker.heartbeat_at is 'Last sign of life.';
comment on column pgqueue.worker.stopping is 'It was told to stop and takes no more jobs.';
comment on column pgqueue.worker.stopped_at is 'When it left in order; null while it works, or if it died.';
comment on column pgqueue.worker.died_at is 'When it was declared dead and its jobs were given back.';
comment on column pgqueue.worker.swept_at is 'When its jobs were looked for a last time, after any claim of its that was still under way.';
