-- Contract: these columns, in this order; more may be added at the end. Counts the archive as far as retention keeps it.
create or replace view pgqueue.queue_stats as
with live as (
    select
        j.queue,
        count(*) filter (where j.worker is null and j.run_at <= clock_timestamp()) as ready,
        count(*) filter (where j.worker is null and j.run_at > clock_timestamp()) as scheduled,
        count(*) filter (where j.worker is not null) as running,
        clock_timestamp() - min(j.run_at) filter (where j.worker is null and j.run_at <= clock_timestamp()) as oldest_ready_age
    from pgqueue.job j
    group by j.queue
),
finished as (
    select
        a.queue,
        count(*) filter (where a.state = 'completed') as completed,
        count(*) filter (where a.state = 'failed') as failed,
        count(*) filter (where a.state = 'cancelled') as cancelled,
        count(*) filter (where a.state = 'expired') as expired
    from pgqueue.job_archive a
    group by a.queue
),
known as (
    select l.queue from live l
    union
    select f.queue from finished f
    union
    select q.name from pgqueue.queue q
)
select
    k.queue,
    coalesce(l.ready, 0) as ready, coalesce(l.scheduled, 0) as scheduled, coalesce(l.running, 0) as running,
    coalesce(f.completed, 0) as completed, coalesce(f.failed, 0) as failed, coalesce(f.cancelled, 0) as cancelled,
    coalesce(f.expired, 0) as expired, l.oldest_ready_age
from known k
left join live l on l.queue = k.queue
left join finished f on f.queue = k.queue;

comment on view pgqueue.queue_stats is 'Jobs of each queue, by state. Columns are a contract: they keep their names, types and order.';
comment on column pgqueue.queue_stats.queue is 'Name of the queue.';
comment on column pgqueue.queue_stats.ready is 'Jobs that a free worker would start now.';
comment on column pgqueue.queue_stats.scheduled is 'Jobs whose run_at is still to come, retries included.';
comment on column pgqueue.queue_stats.running is 'Jobs that a worker holds.';
comment on column pgqueue.queue_stats.completed is 'Completed jobs that retention still keeps.';
comment on column pgqueue.queue_stats.failed is 'Dead letters that retention still keeps.';
comment on column pgqueue.queue_stats.cancelled is 'Cancelled jobs that retention still keeps.';
comment on column pgqueue.queue_stats.expired is 'Expired jobs that retention still keeps.';
comment on column pgqueue.queue_stats.oldest_ready_age is 'How long the oldest ready job has been due; null when none is ready.';
