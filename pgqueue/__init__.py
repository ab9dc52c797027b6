"""pgqueue: the Postgres your application already has, as its job queue."""
