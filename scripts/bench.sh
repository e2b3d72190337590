#!/usr/bin/env bash
# Every row of `roomlog bench`, on SQLite and on a private PostgreSQL with fsync on. Arguments go to it.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
mkdir -p .cache
go build -o .cache/withpostgres ./scripts/withpostgres
# The address is known only to what withpostgres starts.
exec .cache/withpostgres bash -c 'bin/roomlog bench --store sqlite --store "$ROOMLOG_TEST_POSTGRES" "$@"' bench "$@"
