#!/usr/bin/env bash
# Each fuzz target for a while, beyond the corpus that every `go test` runs: FUZZ=60s scripts/fuzz.sh. What
# breaks one is left under its package's testdata/fuzz, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
for file in $(grep -rl --include='*_test.go' '^func Fuzz' bench chaos cmd history server); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$file"); do
		echo "$target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ:-10s}" -parallel "${JOBS:-2}" "./$(dirname "$file")"
	done
done
