"""Trouble with a connection: told once when it begins and once when it is over, however many tries lie between."""

import logging

import psycopg
import pytest

from pgqueue.worker.connection import Trouble, refused


def test_an_outage_has_two_lines_and_the_next_one_two_more(caplog):
    """A try every five seconds for a night must not fill the log."""
    trouble = Trouble("lane")
    with caplog.at_level(logging.INFO):
        trouble.ends()
        for _ in range(2):
            trouble.begins(OSError("connection\nrefused"))
            trouble.begins(OSError("still refused"))
            trouble.ends()
            trouble.ends()

    assert [record.getMessage() for record in caplog.records] == [
        "database not reachable, waiting for it",
        "database reachable again",
    ] * 2
    assert caplog.records[0].fields == {"connection": "lane", "error": "connection refused"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE"), "database is read-only, waiting for it"),
        (psycopg.errors.DiskFull("could not extend file"), "database has no disk space left, waiting for it"),
        (psycopg.errors.TooManyConnections("sorry"), "database has too many connections, waiting for it"),
        (psycopg.OperationalError("server closed the connection"), "database not reachable, waiting for it"),
    ],
)
def test_the_line_says_what_is_the_case(caplog, error, told):
    """Whoever is on call looks at the disk, not at the network."""
    Trouble("lane").begins(error)
    assert caplog.messages == [told]


@pytest.mark.parametrize(
    "words",
    [
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'too many connections for role "app"',
        "no more connections allowed (max_client_conn)",
    ],
)
def test_too_many_connections_are_known_by_their_words(caplog, words):
    """Of an error while connecting libpq keeps no code, only the text."""
    Trouble("lane").begins(psycopg.OperationalError(f"connection failed: FATAL:  {words}"))
    assert caplog.messages == ["database has too many connections, waiting for it"]


AUTH = 'connection failed: FATAL:  password authentication failed for user "app"'
DOWN = "connection failed: Connection refused"


@pytest.mark.parametrize(
    ("told", "for_good"),
    [
        (AUTH, True),
        ('connection failed: FATAL:  database "app" does not exist', True),
        ("connection failed: fe_sendauth: no password supplied", True),
        (DOWN, False),
        ("connection failed: FATAL:  the database system is starting up", False),
        (f"Multiple connection attempts failed. All failures were:\n- host: 'a': {AUTH}\n- host: 'b': {DOWN}", False),
        (f"Multiple connection attempts failed. All failures were:\n- host: 'a': {AUTH}\n- host: 'b': {AUTH}", True),
    ],
)
def test_only_a_refusal_by_every_host_is_for_good(told, for_good):
    """A standby that refuses us says nothing about the primary that is down."""
    assert refused(psycopg.OperationalError(told)) is for_good
