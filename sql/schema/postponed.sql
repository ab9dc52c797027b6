-- Why a job that was started waits again although no attempt failed: its handler asked to wait, or there was none.
-- Jobs that never do either cost nothing here.
--
-- A row is about the claim it names: once the job is claimed again it is history, and pgqueue.maintain removes it when
-- the job has gone.
create table pgqueue.postponed (
    job    bigint      not null,
    claims integer     not null,
    queue  text        collate "C" not null,
    kind   text        collate "C",
    reason text        not null,
    since  timestamptz not null,
    constraint postponed_pkey primary key (job)
);

create index postponed_kind on pgqueue.postponed (kind, queue) where kind is not null;

comment on table pgqueue.postponed is 'Why jobs wait that were started and did not fail: snoozed, or of a kind that no worker knew.';
comment on column pgqueue.postponed.job is 'pgqueue.jobs.id.';
comment on column pgqueue.postponed.claims is 'The claim under which it was postponed; at another one the row is history.';
comment on column pgqueue.postponed.queue is 'As in pgqueue.job.';
comment on column pgqueue.postponed.kind is 'The kind for which the worker had no handler; null for a job that was snoozed.';
comment on column pgqueue.postponed.reason is 'What its handler said, or what was missing.';
comment on column pgqueue.postponed.since is 'When it was snoozed; or when its kind was first found unknown.';
