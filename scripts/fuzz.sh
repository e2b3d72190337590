#!/usr/bin/env bash
# Each fuzz target for a while, beyond the corpus that every `go test` runs: FUZZ=60s scripts/fuzz.sh. What
# breaks one is left under its package's testdata/fuzz, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT
corpus=$(go env GOCACHE)/fuzz/roomlog # where `go test -fuzz` keeps what it found worth keeping

# Before Go 1.27 the fuzzing engine may take the end of its own time for a failure of the target
# (go.dev/issue/75804). It then says nothing but this; whatever a target does is told in other words as well.
ended_by_its_time() {
	grep -A1 '^--- FAIL' "$log" | tail -n1 | grep -qx ' *context deadline exceeded' &&
		! grep -qE 'Failing input|panic|_test\.go:|hung or terminated|fuzzing process' "$log"
}

# What guides the fuzzing is counted in our own code and in what parses for it: to compile all that is linked with the
# counters takes longer than to fuzz.
counted=(-gcflags={roomlog,github.com/gobwas,github.com/goccy}/...=-d=libfuzzer -gcflags=modernc.org/...=-race=false) # the last as in `make test`

for package in $(grep -rl --include='*_test.go' '^func Fuzz' bench chaos cmd history server | xargs -n 1 dirname | sort -u); do
	go test -c -vet=off "${counted[@]}" -o "$work/fuzz" "./$package"
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$package"/*_test.go); do
		echo "$package $target"
		if ! (cd "$package" && "$work/fuzz" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "${FUZZ:-10s}" \
			-test.fuzzcachedir "$corpus/$package" -test.parallel "${JOBS:-2}") 2>&1 | tee "$log"; then
			ended_by_its_time || exit 1
			echo "$target ended with its time, and found nothing"
		fi
	done
done
