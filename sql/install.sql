-- pgqueue, whole: psql -v ON_ERROR_STOP=1 -f sql/install.sql
--
-- The table of contents. `pgqueue migrate` ends with the same schema, and also brings an older one up to date.
--
-- Advisory locks of pgqueue, all of two integers:
--   1885827330, hash of queue   parked     who sleeps                                functions/park.sql
--   1885827331, worker          alive      a worker's life                           functions/register.sql
--   1885827332, 0               leader     who does what needs doing once            functions/lead.sql
--   1885827333, 0               maintain   the archive's partitions                  functions/maintain.sql
--   1885827334, 0               migrate    one migration at a time                   pgqueue/migrations
--   1885827335, 0               sleepers   who changes the bits of who sleeps        functions/park.sql
\set ON_ERROR_STOP on
begin;

-- What is kept
\ir schema/schema.sql
\ir schema/version.sql
\ir schema/job.sql
\ir schema/job_archive.sql
\ir schema/attempt.sql
\ir schema/unique_key.sql
\ir schema/once.sql
\ir schema/enqueued.sql
\ir schema/claimed.sql
\ir schema/queue.sql
\ir schema/worker.sql
\ir schema/progress.sql
\ir schema/job_log.sql
\ir schema/postponed.sql
\ir schema/sleepers.sql
\ir schema/schedule.sql

-- Bodies name functions and views that come later in this file.
set local check_function_bodies = off;

-- What producers and operators call
\ir functions/enqueue.sql
\ir functions/enqueue_plain.sql
\ir functions/enqueue_many.sql
\ir functions/enqueue_each.sql
\ir functions/find_unique.sql
\ir functions/release_unique.sql
\ir functions/cancel.sql
\ir functions/retry.sql
\ir functions/set_queue.sql

-- How a key is taken
\ir functions/enqueue_unique.sql
\ir functions/take_key.sql
\ir functions/try_key.sql
\ir functions/key_holder.sql
\ir functions/job_now.sql
\ir functions/lock_waiting.sql
\ir functions/lives.sql
\ir functions/start_waiting.sql

-- Schedules, for applications and operators
\ir functions/schedule.sql
\ir functions/pause_schedule.sql
\ir functions/resume_schedule.sql
\ir functions/run_schedule.sql
\ir functions/remove_schedule.sql
\ir functions/prune_schedules.sql

-- What a worker calls for its jobs
\ir functions/exchange.sql
\ir functions/claim.sql
\ir functions/pass_taken.sql
\ir functions/under_way.sql
\ir functions/claim_newest.sql
\ir functions/finish.sql
\ir functions/finish_within.sql
\ir functions/fail.sql
\ir functions/release.sql
\ir functions/snooze.sql
\ir functions/set_aside.sql
\ir functions/abandon.sql
\ir functions/reconcile.sql
\ir functions/cancel_asked.sql
\ir functions/hold.sql
\ir functions/once.sql
\ir functions/recall.sql
\ir functions/report.sql

-- Sleeping and waking
\ir functions/wake.sql
\ir functions/nobody_sleeps.sql
\ir functions/park.sql
\ir functions/settled.sql
\ir functions/unpark.sql
\ir functions/asleep.sql
\ir functions/next_run_at.sql

-- Waiting for results
\ir functions/ring_finished.sql
\ir functions/outcomes.sql

-- A worker's life
\ir functions/register.sql
\ir functions/take_up.sql
\ir functions/declare.sql
\ir functions/heartbeat.sql
\ir functions/attach.sql
\ir functions/leave.sql
\ir functions/at_work.sql
\ir functions/end_session.sql

-- What the leader does for all
\ir functions/lead.sql
\ir functions/stand_in.sql
\ir functions/due_schedules.sql
\ir functions/plan_schedule.sql
\ir functions/fire.sql
\ir functions/enqueue_run.sql
\ir functions/duties.sql
\ir functions/rescue.sql
\ir functions/expire.sql
\ir functions/follow.sql
\ir functions/end_waiting.sql
\ir functions/maintain.sql
\ir functions/forget_keys.sql
\ir functions/forget_sleepers.sql
\ir functions/make_day.sql
\ir functions/drop_days.sql

-- The rules
\ir functions/check_job.sql
\ir functions/is_kind.sql
\ir functions/is_queue.sql
\ir functions/are_args.sql
\ir functions/check_schedule.sql
\ir functions/check_unique.sql
\ir functions/check_worker.sql
\ir functions/refuse_schedule.sql
\ir functions/refuse_state.sql
\ir functions/refuse_claim.sql

-- What people look at
\ir functions/redact.sql
\ir views/jobs.sql
\ir views/job_logs.sql
\ir views/queue_stats.sql
\ir views/workers.sql
\ir views/unknown_kinds.sql
\ir views/schedules.sql

commit;
