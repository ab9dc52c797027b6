-- Workers that have no session of their own, as they are behind a connection pooler.
alter table pgqueue.worker add column direct boolean not null default true;

comment on column pgqueue.worker.direct is
    'Whether it holds its liveness lock. Behind a pooler it cannot, and its beats alone tell that it lives.';
