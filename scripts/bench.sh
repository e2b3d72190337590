#!/usr/bin/env bash
# Measures bin/roomlog on SQLite and on a private PostgreSQL of this run. Arguments go to `roomlog bench`.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
mkdir -p .cache
go build -o .cache/withpostgres ./scripts/withpostgres
# The URL is known only inside: the single quotes are meant.
# shellcheck disable=SC2016
.cache/withpostgres sh -c 'exec bin/roomlog bench --store sqlite --store "$ROOMLOG_TEST_POSTGRES" "$@"' bench "$@"
