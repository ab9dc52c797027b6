"""The migration as text: what brings a database from one revision to this code's.

Alembic renders its steps, functions and views follow. The same text is run by `migrate` and printed by
`pgqueue migrate --sql`, so the two cannot differ. Steps get no `op`, only a function that takes SQL: Alembic's `op`
is one per process and may be in the middle of the application's own migration.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pgqueue.errors import ConfigurationError
from pgqueue.migrations import files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alembic.runtime.migration import RevisionStep

LOCK_TIMEOUT = 5.0

# Held until the transaction ends: of several that start together one migrates, the others find it done.
# All of pgqueue's advisory locks are listed in sql/install.sql.
TAKE_TURN = "do $$ begin perform pg_advisory_xact_lock(1885827334, 0); end; $$;"
TRY_TO_TAKE_TURN = "select pg_try_advisory_xact_lock(1885827334, 0)"

PREPARE = """\
do $$
begin
    -- Not "if not exists": that asks for the right to create schemas even when somebody who has it was here before.
    if to_regnamespace('pgqueue') is null then
        create schema pgqueue;
    end if;
    -- Who may call what, for those functions that are not replaced but made anew.
    perform set_config('pgqueue.rights', (
        select jsonb_agg(jsonb_build_object('id', p.oid, 'name', p.proname, 'rights', p.proacl::text))::text
        from pg_proc p
        where p.pronamespace = to_regnamespace('pgqueue')
    ), true);
end;
$$;
"""

_DROP_OTHERS = """\
-- A function that got one more parameter with a default stands beside its old self, and calls of either fail as "not
-- unique". So whatever is not of this version goes; what belongs to an extension or is used by your own objects stays
-- or is refused.
do $$
declare
    v_other regprocedure;
begin
    for v_other in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'pgqueue'::regnamespace
            and p.oid <> all (array[
                {signatures}
            ]::regprocedure[])
            and not exists (
                select from pg_depend d
                where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
            )
        order by p.oid
    loop
        execute format('drop routine %s', v_other);
    end loop;
end;
$$;
"""

_GRANT_AGAIN = """\
-- Rights belong to a function, not to its name. One that was made anew in another's place has none, so everybody may
-- call it; it gets those of the other.
do $$
declare
    v_new   record;
    v_right record;
begin
    for v_new in
        with before as materialized (
            select b.*
            from jsonb_to_recordset(nullif(current_setting('pgqueue.rights', true), '')::jsonb)
                as b (id oid, name text, rights text)
        )
        select p.oid::regprocedure as function, b.rights::aclitem[] as rights
        from pg_proc p join before b on b.name = p.proname and b.rights is not null
        where p.pronamespace = 'pgqueue'::regnamespace
            and not exists (select from before o where o.id = p.oid)
            and not exists (select from pg_proc o where o.oid = b.id)
    loop
        execute format('revoke all on function %s from public', v_new.function);
        for v_right in select a.grantee, a.is_grantable from aclexplode(v_new.rights) a loop
            execute format(
                'grant execute on function %s to %s%s', v_new.function,
                case v_right.grantee when 0 then 'public' else v_right.grantee::regrole::text end,
                case when v_right.is_grantable then ' with grant option' else '' end
            );
        end loop;
    end loop;
end;
$$;
"""

_REFUSE_OTHER_START = """\
do $$
declare
    v_found text;
begin
    if to_regclass('pgqueue.alembic_version') is not null then
        select string_agg(v.version_num, ', ') into v_found from pgqueue.alembic_version v;
    end if;
    if v_found is distinct from {start} then
        raise exception 'this script starts from revision %, but the schema pgqueue is at %',
            coalesce({start}, 'none (no schema yet)'), coalesce(v_found, 'none (no schema yet)')
            using hint = 'Make another with: pgqueue migrate --sql --from REVISION';
    end if;
end;
$$;
"""


def steps() -> ScriptDirectory:
    """Alembic's view of the steps."""
    return ScriptDirectory(str(files.folders().steps))


def head() -> str:
    """Revision of the newest step."""
    newest = steps().get_current_head()
    assert newest is not None
    return newest


def revisions() -> list[str]:
    """All steps, oldest first."""
    return [step.revision for step in steps().walk_revisions()][::-1]


def seconds(value: float) -> str:
    """As a setting of Postgres: whole milliseconds, at least one, since 0 would mean to wait for ever."""
    return f"{max(1, round(value * 1000))}ms"


def body(start: str | None) -> str:
    """All statements from revision `start` (None: from nothing) to head; belongs into one transaction."""
    return "\n".join([PREPARE, _render_steps(start), replace_functions_and_views()])


def whole(start: str | None, *, lock_timeout: float = LOCK_TIMEOUT) -> str:
    """`body` as a script for psql or a database administrator: one transaction, safe to run twice.

    lock_timeout:  seconds it waits for a table that somebody else has locked.

    Raises `ConfigurationError` for a revision that does not exist.
    """
    known = revisions()
    if start is not None and start not in known:
        raise ConfigurationError(
            f"there is no revision {start!r}; use one of {', '.join(known)}, or none for the start"
        )
    quoted = "null::text" if start is None else f"'{start}'"
    return "\n".join(
        [
            f"-- pgqueue: schema pgqueue from {start or 'nothing'} to revision {head()}.",
            "-- All or nothing. The next line is for psql, other tools do without it.",
            "\\set ON_ERROR_STOP on\n",
            "begin isolation level read committed;",
            TAKE_TURN,
            f"set local lock_timeout = '{seconds(lock_timeout)}';\n",
            _REFUSE_OTHER_START.format(start=quoted),
            body(start),
            "commit;\n",
        ]
    )


def replace_functions_and_views() -> str:
    """What is replaced whenever a database reaches head."""
    parts = ["-- Bodies name functions and views that come later.", "set local check_function_bodies = off;\n"]
    parts += [f"-- {file.name}\n{file.text}" for file in files.replaced()]
    signatures = [signature for file in files.replaced() for signature in files.signatures_of(file)]
    wanted = ",\n                ".join(f"'{signature}'" for signature in signatures)
    return "\n".join([*parts, _DROP_OTHERS.format(signatures=wanted), _GRANT_AGAIN])


def _render_steps(start: str | None) -> str:
    directory = steps()
    text = io.StringIO()

    def pending(revision: Any, context: MigrationContext) -> Iterable[RevisionStep]:
        return directory._upgrade_revs("head", revision)

    options = {
        "as_sql": True,
        "fn": pending,
        "output_buffer": text,
        "script": directory,
        "starting_rev": start,
        "version_table_schema": "pgqueue",
    }
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    context.run_migrations(run=context.impl.static_output)
    return text.getvalue()
