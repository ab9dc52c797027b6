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
    kinds        jsonb       not null default '{}',
    schedules    text[]      not null default '{}',
    direct       boolean     not null default true,
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
comment on column pgqueue.worker.kinds is 'Kinds it has handlers for, each with the kind of its on_failed hook or null, {"charge": "charge:on_failed"}.';
comment on column pgqueue.worker.schedules is 'Names of the schedules that its code declares.';
comment on column pgqueue.worker.direct is
    'Whether it holds its liveness lock. Behind a pooler it cannot, and its beats alone tell that it lives.';
