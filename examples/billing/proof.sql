-- What the demo promises, as questions to the database: a line is true if wanted = found.
--
--   psql … -f proof.sql
with
orders as (
    select
        o.number, o.amount, o.charge_job, o.receipt_job,
        o.card = '0002' as declined, o.card in ('0119', '0341') as needs_retry
    from billing_demo.customer_order o
),
their_job as (
    select o.charge_job as id, 'charge' as kind from orders o
    union all
    select o.receipt_job, 'receipt' from orders o
),
refused_job as (
    select unnest(array[r.charge_job, r.receipt_job]) as id from billing_demo.refused_line r
),
-- Every job of this import that exists, live or finished.
job as (
    select j.id, j.kind, j.state, j.attempt
    from pgqueue.jobs j
    where j.queue in ('demo-billing', 'demo-receipts') and j.id >= (select min(t.id) from their_job t)
),
-- Attempts that ended because their worker was killed.
died as (
    select distinct a.job as id from pgqueue.attempt a join their_job t on t.id = a.job where a.error like 'WorkerDied%'
)
select 'each committed order has its charge job and its receipt job' as claim,
    2 * (select count(*) from orders) as wanted,
    (select count(*) from job j join their_job t on (t.id, t.kind) = (j.id, j.kind)) as found
union all
select 'of the orders rolled back, none has a job', 0,
    (select count(*) from pgqueue.jobs j join refused_job r on r.id = j.id)
union all
select 'jobs that belong to no order', 0,
    (select count(*) from job j where not exists (select from their_job t where t.id = j.id))
union all
select 'each committed order is charged exactly once, but for the declined card',
    (select count(*) from orders o where not o.declined),
    (select count(*) from billing_demo.charge c join orders o on (o.number, o.amount) = (c.order_number, c.amount))
union all
select 'jobs still waiting or running', 0,
    (select count(*) from job j where j.state in ('ready', 'scheduled', 'running'))
union all
select 'dead letters: the charge of the declined card and nothing else',
    (select count(*) from orders o where o.declined),
    (select count(*) from job j where j.state = 'failed')
union all
select 'charges that failed at first and succeeded on a retry',
    (select count(*) from orders o where o.needs_retry),
    (select count(*) from orders o join job j on j.id = o.charge_job where o.needs_retry and j.state = 'completed' and j.attempt > 1)
union all
-- Failed: the declined card's may be among them.
select 'jobs that the killed worker was running, finished by the other one',
    (select count(*) from died d),
    (select count(*) from died d join job j on j.id = d.id where j.state in ('completed', 'failed'))
