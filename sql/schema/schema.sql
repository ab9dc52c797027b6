create schema if not exists pgqueue;

comment on schema pgqueue is
    'Job queue. Enqueue with pgqueue.enqueue(kind, args, …); look with the views jobs, queue_stats and workers.';
