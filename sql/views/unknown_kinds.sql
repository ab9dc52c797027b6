-- Contract: these columns, in this order; more may be added at the end.
create or replace view pgqueue.unknown_kinds as
select p.kind, p.queue, count(*) as jobs, min(p.since) as since
from pgqueue.postponed p
join pgqueue.job j on j.id = p.job and j.claims = p.claims and j.worker is null
where p.kind is not null
group by p.kind, p.queue;

comment on view pgqueue.unknown_kinds is 'Kinds whose jobs wait because no worker has a handler for them. Columns are a contract: they keep their names, types and order.';
comment on column pgqueue.unknown_kinds.kind is 'The name that no worker knew.';
comment on column pgqueue.unknown_kinds.queue is 'Queue in which they wait.';
comment on column pgqueue.unknown_kinds.jobs is 'How many wait.';
comment on column pgqueue.unknown_kinds.since is 'When the first of them was found.';
