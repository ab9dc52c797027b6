-- Contract: these columns, in this order; more may be added at the end.
create or replace view pgqueue.workers as
select
    w.id, w.name, w.host, w.pid, w.version, w.queues,
    case
        when w.died_at is not null then 'dead'
        when w.stopped_at is not null then 'stopped'
        when w.heartbeat_at < clock_timestamp() - interval '10 seconds' then 'silent'
        when w.stopping then 'stopping'
        else 'running'
    end as state,
    w.running, w.started_at, w.heartbeat_at, coalesce(w.stopped_at, w.died_at) as ended_at
from pgqueue.worker w;

comment on view pgqueue.workers is 'Worker processes, and for a day those that ended. Columns are a contract: they keep their names, types and order.';
comment on column pgqueue.workers.id is 'One life of one process.';
comment on column pgqueue.workers.name is 'host:pid, or what --name said.';
comment on column pgqueue.workers.host is 'Machine it runs on.';
comment on column pgqueue.workers.pid is 'Process id there.';
comment on column pgqueue.workers.version is 'Version of pgqueue it runs.';
comment on column pgqueue.workers.queues is 'Queues it serves and the slots of each.';
comment on column pgqueue.workers.state is 'running, stopping, stopped, silent (no beat for 10 s), dead (its jobs were given back).';
comment on column pgqueue.workers.running is 'Jobs it was running at its last heartbeat.';
comment on column pgqueue.workers.started_at is 'When it registered.';
comment on column pgqueue.workers.heartbeat_at is 'Last sign of life.';
comment on column pgqueue.workers.ended_at is 'When it stopped or was declared dead; null while it lives.';
