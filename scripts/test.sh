#!/usr/bin/env bash
# Everything: what `make test` does once the binary is built. It needs no service and leaves none behind;
# servers run on free loopback ports and in temporary folders, PostgreSQL as a user who is not root.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
began=$SECONDS
work=$(mktemp -d)

# Where memory holds files and has room, what tests write goes there: they would wait for a disk that others use as well.
# PostgreSQL and SQLite sync as ever; that nothing is acked before it is synced, tests see in what is asked of the disk.
files=
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 6000000 ] &&
	[ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt 10000000 ] && files=$(mktemp -d /dev/shm/roomlog-XXXXXX); then
	chmod 711 "$files" # PostgreSQL is another user
	# Docker mounts it so that no program runs from there.
	if printf '#!/bin/sh\n' >"$files/program" && chmod 700 "$files/program" && "$files/program" 2>/dev/null; then
		export GOTMPDIR=$work TMPDIR=$files
	fi
fi

# step NAME COMMAND… runs a step, and keeps for the table at the end what it took, and whether it failed.
step() {
	local name=$1 took=$work/took.$BASHPID status=0 TIMEFORMAT='%0R %0U %0S'
	shift
	printf '\n== %s (%d s)\n' "$name" $((SECONDS - began))
	{ time "$@" >&3 2>&4; } 3>&1 4>&2 2>"$took" || status=$?
	echo "$(tail -n 1 "$took") $name" >>"$work/table"
	[ $status = 0 ] || echo "$name" >>"$work/failed"
	return $status
}

# also NAME COMMAND… is a step after whose failure the others are run as well: what else fails is worth knowing.
also() { step "$@" || true; }

# What went on beside is told, and ended if this ends before it: by Ctrl-C, since a test then stops what it started.
beside=
end() {
	local status=$?
	trap - EXIT
	if [ -n "$beside" ]; then
		kill -INT -- "-$beside" 2>/dev/null || true
		wait "$beside" || true
		cat "$work/beside"
	fi
	rm -rf "$work" ${files:+"$files"}
	exit $status
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

needs() {
	scripts/deps.sh --print >"$work/needs" && cat "$work/needs"
}
step "What is needed beside Go and Node" needs
while IFS= read -r line; do export "${line?}"; done <"$work/needs"

step "Format, lint, types" make lint
step "Known vulnerabilities" make audit

mkdir -p .cache
go build -o .cache/withpostgres ./scripts/withpostgres

# The store on PostgreSQL: of its cases few have goroutines of ours, and only those run with the race detector.
racing='^TestStore$/^(Writers|Readers|Cancel|.*UnderLoad)'
postgres() {
	.cache/withpostgres go test -vet=off -shuffle=on -timeout 15m -skip "$racing" ./server/store/postgres
}

# These go on beside the race detector, whose tests wait for databases and disks, and beside servers under faults, who wait for those
# to end. A browser, whose tests are timed by what a person would see, has the machine for itself.
others() {
	also "The protocol, the documents, the tree" go test -vet=off -shuffle=on ./spec ./internal/... ./deploy ./web
	also "TypeScript" npm test --workspace client --workspace web
	also "The store on PostgreSQL" postgres
	also "The real server: bad input, HTTP, examples, a cluster" go test -vet=off -shuffle=on -timeout 10m -p 1 $(go list ./e2e/... | grep -v torture)
	also "What loads a server from outside" go test -vet=off -shuffle=on -timeout 10m ./bench/...
}
printf '\n== TypeScript, PostgreSQL, the real server: begun, told at the end (%d s)\n' $((SECONDS - began))
set -m # a group of its own, so that it can be ended
others >"$work/beside" 2>&1 </dev/null &
beside=$!
set +m

# `make lint` has vetted everything: each go test would again, in its own configuration, with all it links.
race() {
	.cache/withpostgres go test -vet=off -race -shuffle=on -p "$jobs" -timeout 15m $(go list ./... |
		grep -v -e '/e2e' -e '/bench' -e '/spec$' -e '/internal/' -e '/deploy$' -e '/web$' -e '/store/postgres$') &&
		.cache/withpostgres go test -vet=off -race -shuffle=on -timeout 10m -run "$racing" ./server/store/postgres
}

also "Go, with the race detector" race
also "Seeded runs of real servers under faults" go test -vet=off -shuffle=on -timeout 10m -p 1 -v ./e2e/torture/...
FUZZ=${FUZZ:-1s} also "Every parser under hostile bytes" scripts/fuzz.sh

wait "$beside" || echo "what went on beside" >>"$work/failed"
beside=
cat "$work/beside"

also "The checkers can fail: faulty variants" .cache/withpostgres scripts/mutants.sh
also "A real browser" npm test --workspace e2e

if [ -e "$work/failed" ]; then
	printf '\n== Not passed (%d s)\n' $((SECONDS - began))
	cat "$work/failed"
	exit 1
fi

printf '\n== All of it passed (%d s)\n' $((SECONDS - began))
printf '%6s %6s %6s  %s\n' wall user system "seconds of"
while read -r wall user system name; do printf '%6d %6d %6d  %s\n' "$wall" "$user" "$system" "$name"; done <"$work/table"
