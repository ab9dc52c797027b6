-- The business tables of the example. Nothing of pgqueue's is in here.
create schema billing_demo;
comment on schema billing_demo is 'Made by pgqueue demo; the next demo drops it.';

create table billing_demo.customer_order (
    number      text           primary key check (number <> ''),
    customer    text           not null check (customer <> ''),
    article     text           not null,
    amount      numeric(10, 2) not null check (amount > 0),
    ordered_on  date           not null,
    card        text           not null check (card ~ '^[0-9]{4}$'),  -- its last four digits
    charge_job  bigint         not null,
    receipt_job bigint         not null
);

-- One row per order, whatever happens: the primary key is what makes charging idempotent.
create table billing_demo.charge (
    order_number text           primary key references billing_demo.customer_order,
    amount       numeric(10, 2) not null,
    charged_at   timestamptz    not null default clock_timestamp()
);

-- Lines of the file that were rolled back, with the numbers of the jobs that were rolled back with them.
create table billing_demo.refused_line (
    line        integer primary key,
    reason      text    not null,
    charge_job  bigint,
    receipt_job bigint
);
