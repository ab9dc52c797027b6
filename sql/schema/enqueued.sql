-- A named type, not columns of the function's own: Postgres would put those together anew at every call, which takes a
-- tenth of the time that the insert takes.
create type pgqueue.enqueued as (
    id      bigint,
    created boolean
);

comment on type pgqueue.enqueued is 'What became of a job that was enqueued.';
comment on column pgqueue.enqueued.id is 'Its number; that of the job which holds the key, if none was added.';
comment on column pgqueue.enqueued.created is 'false: no job was added, another one holds the key.';
