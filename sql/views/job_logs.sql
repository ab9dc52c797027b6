-- Contract: these columns, in this order; more may be added at the end.
create or replace view pgqueue.job_logs as
select l.job, l.attempt, l.at, l.level, l.text, l.claims, l.line from pgqueue.job_log l;

comment on view pgqueue.job_logs is 'Lines that jobs wrote with ctx.log(…), visible while they run. Order by claims, line.';
comment on column pgqueue.job_logs.job is 'pgqueue.jobs.id.';
comment on column pgqueue.job_logs.attempt is 'Which attempt wrote it, from 1; starts again after a retry by hand.';
comment on column pgqueue.job_logs.at is 'When it was written.';
comment on column pgqueue.job_logs.level is 'debug, info, warning, error or critical.';
comment on column pgqueue.job_logs.text is 'What was written; long lines are cut.';
comment on column pgqueue.job_logs.claims is 'Grows with each start of the job: together with line it orders a job''s lines.';
comment on column pgqueue.job_logs.line is 'Number of the line since that start, from 1.';
