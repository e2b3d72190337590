#!/usr/bin/env bash
# Runs several nodes with all that they need on this machine, for `make cluster`: on free ports of the loopback and in a
# temporary folder, until Ctrl-C. BUS is redis (default), nats or none; further arguments go to scripts/cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
needs=(postgres haproxy)
[ "${BUS:=redis}" != redis ] || needs+=(redis)
found=$(scripts/deps.sh --print "${needs[@]}")
while IFS= read -r line; do export "${line?}"; done <<<"$found"
mkdir -p .cache
go build -o .cache/cluster ./scripts/cluster
exec .cache/cluster --bus "$BUS" "$@"
