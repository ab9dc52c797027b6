"""What a reader of the database may rely on, read from its catalog."""

import psycopg

from tests.sql.verbs import rows


def columns(db: psycopg.Connection, relation: str) -> list[tuple[str, str]]:
    """Name and type of each column, in order."""
    return rows(
        db,
        """select a.attname, format_type(a.atttypid, a.atttypmod)
           from pg_attribute a
           where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
           order by a.attnum""",
        [f"pgqueue.{relation}"],
    )
