#!/usr/bin/env bash
# Builds each faulty variant, runs the test that must catch it, and prints which invariant did. A mutant
# that no test catches is a failure: the test is then worth nothing. So is a test that fails without any.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
survived=0

# The tables lie beside the code they break: a line is `mutant test invariant`, tests named as for -run.
printf '%-22s %-22s %-9s %s\n' mutant package caught by test
for table in $(find server -name mutants.txt | sort); do
	package=./$(dirname "$table")
	while read -r mutant test invariant _; do
		case $mutant in '' | '#'*) continue ;; esac
		if ! go test -count=1 -run "^($test)\$" "$package" >"$log" 2>&1; then
			echo "$test fails without any mutant:" && cat "$log"
			exit 1
		fi
		if ROOMLOG_MUTANT=$mutant go test -count=1 -tags mutant -timeout 3m -run "^($test)\$" "$package" >"$log" 2>&1; then
			printf '%-22s %-22s %-9s %s\n' "$mutant" "${package#./server/}" NOTHING "$test"
			survived=$((survived + 1))
		elif grep -q '^--- FAIL\|panic: test timed out' "$log"; then
			printf '%-22s %-22s %-9s %s\n' "$mutant" "${package#./server/}" "$invariant" "$test"
		else # it did not compile or did not run: that proves nothing
			echo "$mutant could not be tried:" && cat "$log"
			exit 1
		fi
	done <"$table"
done
[ "$survived" = 0 ] || { echo "$survived not caught"; exit 1; }
