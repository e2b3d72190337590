#!/usr/bin/env bash
# Everything: what `make test` does once the binary is built. It needs no service and leaves none behind;
# servers run on free loopback ports and in temporary folders, PostgreSQL as a user who is not root.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
began=$SECONDS

step() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - began)); }

step "What is needed beside Go and Node"
found=$(scripts/deps.sh --print)
echo "$found"
while IFS= read -r line; do export "${line?}"; done <<<"$found"

step "Format, lint, types"
make lint

step "Known vulnerabilities"
make audit

step "Go, both stores, with the race detector"
mkdir -p .cache
go build -o .cache/withpostgres ./scripts/withpostgres
.cache/withpostgres go test -race -shuffle=on -p "$jobs" -timeout 15m $(go list ./... | grep -v '/e2e')

step "Every parser under hostile bytes"
FUZZ=${FUZZ:-6s} scripts/fuzz.sh

step "The checkers can fail: faulty variants"
scripts/mutants.sh

step "TypeScript"
npm test --workspace client --workspace web

step "The real server: bad input, and seeded runs under faults"
go test -shuffle=on -timeout 10m -p 1 -v ./e2e/...

step "A real browser"
npm test --workspace e2e

step "All of it passed"
