-- The table that Alembic keeps, in our schema and away from the application's own. Its row is the schema's revision:
-- the newest step in alembic/versions.
create table pgqueue.alembic_version (
    version_num varchar(32) not null,
    constraint alembic_version_pkc primary key (version_num)
);

comment on table pgqueue.alembic_version is 'Revision of this schema; clients and workers refuse any other than their own.';
comment on column pgqueue.alembic_version.version_num is 'Newest step of alembic/versions that was applied.';

insert into pgqueue.alembic_version (version_num) values ('0006');
