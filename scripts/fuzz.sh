#!/usr/bin/env bash
# Each fuzz target for a while, beyond the corpus that every `go test` runs: FUZZ=60s scripts/fuzz.sh. What
# breaks one is left under its package's testdata/fuzz, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Before Go 1.27 the fuzzing engine may take the end of its own time for a failure of the target
# (go.dev/issue/75804). It then says nothing but this; whatever a target does is told in other words as well.
ended_by_its_time() {
	grep -A1 '^--- FAIL' "$log" | tail -n1 | grep -qx ' *context deadline exceeded' &&
		! grep -qE 'Failing input|panic|_test\.go:|hung or terminated|fuzzing process' "$log"
}

for file in $(grep -rl --include='*_test.go' '^func Fuzz' bench chaos cmd history server); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$file"); do
		echo "$target"
		if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ:-10s}" -parallel "${JOBS:-2}" "./$(dirname "$file")" 2>&1 | tee "$log"; then
			ended_by_its_time || exit 1
			echo "$target ended with its time, and found nothing"
		fi
	done
done
