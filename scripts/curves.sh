#!/usr/bin/env bash
# Every curve of `roomlog bench`, as JSON under docs/performance, on SQLite and on a private PostgreSQL; then draws them. A
# history of 10,000,000 events takes some 4 GB of disk for each store. Connections go up to 50,000 where a process may have
# so many open files, else up to 19,000.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
mkdir -p .cache docs/performance
go build -o .cache/withpostgres ./scripts/withpostgres
stores='--store sqlite --store "$ROOMLOG_TEST_POSTGRES"'
# The address is known only to what withpostgres starts.
.cache/withpostgres bash -c "bin/roomlog bench $stores --curve history --most 10000000 --runs 1 --json" >docs/performance/history.json
.cache/withpostgres bash -c "bin/roomlog bench $stores --curve rooms --runs 1 --json" >docs/performance/rooms.json
.cache/withpostgres bash -c "bin/roomlog bench $stores --curve body --runs 1 --json" >docs/performance/body.json
bin/roomlog bench --store sqlite --curve rate --runs 1 --json >docs/performance/rate.json
most=19000
if ulimit -n 52000 2>/dev/null; then most=50000; fi
bin/roomlog bench --store sqlite --curve connections --most $most --runs 1 --json >docs/performance/connections.json
exec make plots
