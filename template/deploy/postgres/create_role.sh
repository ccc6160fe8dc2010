#!/bin/sh
# Create the role `service` and the database for its tests. The image runs this once, when the server is new:
# https://hub.docker.com/_/postgres#initialization-scripts
#
# The role owns the schema of its database, and everything in the one for tests. It is not a superuser, and it cannot
# create roles or databases.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$DATABASE_PASSWORD" \
    --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE ROLE service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO service;
ALTER SCHEMA public OWNER TO service;
-- `make test` empties this database.
\set tests :DBNAME _test
CREATE DATABASE :"tests" OWNER service;
REVOKE ALL ON DATABASE :"tests" FROM PUBLIC;
SQL
