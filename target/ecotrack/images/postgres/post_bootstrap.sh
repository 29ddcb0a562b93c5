#!/bin/sh
# Patroni runs this once, on the first primary, with a connection string of the superuser.
# No standby exists yet: the commits here must not wait for one.
set -eu
export PGOPTIONS='-c synchronous_commit=local'
psql -v ON_ERROR_STOP=1 -q "$1" <<'SQL'
CREATE ROLE ecotrack LOGIN PASSWORD 'lab-ecotrack';
CREATE DATABASE ecotrack OWNER ecotrack;
SQL
