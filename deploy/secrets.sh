#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once: files under deploy/secrets, which no image and no repository has. The folder is
# for its owner alone; the files are for anyone, since those who read them in the containers are users of their own.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

# make NAME: a file with a random key, unless it is there.
make() {
	[ -s "secrets/$1" ] || openssl rand -hex 32 >"secrets/$1"
}

make postgres_password
make key
make cluster_key
echo "postgres:5432:roomlog:roomlog:$(cat secrets/postgres_password)" >secrets/pgpass
chmod 644 secrets/*
echo "The secrets are in $PWD/secrets. A new password for PostgreSQL has to be set there too: alter role roomlog password …"
