#!/usr/bin/env bash
# Builds each faulty variant, runs the test that must catch it, and prints which invariant did. A mutant
# that no test catches is a failure: the test is then worth nothing. So is a test that fails without any.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT
survived=0

# The tables lie beside the code they break: a line is `mutant test invariant fault`, tests as for -run.
row='%-15s %-15s %-9s %-28s %s\n'
printf "$row" mutant package caught test fault
for table in $(find server -name mutants.txt | sort); do
	package=$(dirname "$table")
	# Linked once, run often: what a variant does is chosen as it runs. `make lint` has vetted both.
	go test -c -vet=off -o "$work/plain" "./$package"
	go test -c -vet=off -tags mutant -o "$work/mutant" "./$package"
	while read -r mutant test invariant fault; do
		case $mutant in '' | '#'*) continue ;; esac
		run="^${test//\//\$/^}\$"
		if ! (cd "$package" && "$work/plain" -test.count=1 -test.timeout 3m -test.run "$run") >"$log" 2>&1; then
			echo "$test fails without any mutant:" && cat "$log"
			exit 1
		fi
		if (cd "$package" && ROOMLOG_MUTANT=$mutant "$work/mutant" -test.count=1 -test.timeout 3m -test.run "$run") >"$log" 2>&1; then
			invariant=NOTHING
			survived=$((survived + 1))
		elif ! grep -q -e '^ *--- FAIL' -e 'panic: test timed out' "$log" || grep -q "mutant.*$mutant" "$log"; then
			# It could not make its fault: that proves nothing.
			echo "$mutant could not be tried:" && cat "$log"
			exit 1
		fi
		printf "$row" "$mutant" "${package#server/}" "$invariant" "$test" "$fault"
	done <"$table"
done
[ "$survived" = 0 ] || { echo "$survived not caught"; exit 1; }
