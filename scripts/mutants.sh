#!/usr/bin/env bash
# Builds each faulty variant, runs the test that must catch it, and prints which invariant did. A mutant
# that no test catches is a failure: the test is then worth nothing. So is a test that fails without any.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
work=$(mktemp -d)

# What still runs is ended with this, by Ctrl-C.
end() {
	local status=$? group
	trap - EXIT
	for group in $(jobs -p); do kill -INT -- "-$group" 2>/dev/null || true; done
	wait
	rm -rf "$work"
	exit $status
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

row='%-15s %-15s %-9s %-28s %s\n'
# table TABLE DIR runs the lines of a table, `mutant test invariant fault` with tests as for -run, and prints one for each.
table() {
	local package mutant test invariant fault run log=$2/log
	package=$(dirname "$1")
	# Linked once, run often: what a variant does is chosen as it runs. `make lint` has vetted both.
	go test -c -vet=off -o "$2/plain" "./$package" || return 1
	go test -c -vet=off -tags mutant -o "$2/mutant" "./$package" || return 1
	while read -r mutant test invariant fault; do
		case $mutant in '' | '#'*) continue ;; esac
		run="^${test//\//\$/^}\$"
		if ! (cd "$package" && "$2/plain" -test.count=1 -test.timeout 3m -test.run "$run") >"$log" 2>&1; then
			echo "$test fails without any mutant:" && cat "$log"
			return 1
		fi
		if (cd "$package" && ROOMLOG_MUTANT=$mutant "$2/mutant" -test.count=1 -test.timeout 3m -test.run "$run") >"$log" 2>&1; then
			invariant=NOTHING
			echo "$mutant" >>"$work/survived"
		elif ! grep -q -e '^ *--- FAIL' -e 'panic: test timed out' "$log" || grep -q "mutant.*$mutant" "$log"; then
			# It could not make its fault: that proves nothing.
			echo "$mutant could not be tried:" && cat "$log"
			return 1
		fi
		printf "$row" "$mutant" "${package#server/}" "$invariant" "$test" "$fault"
	done <"$1"
}

# The tables lie beside the code they break. Two at a time, the longest first.
tables=$(find server -name mutants.txt | sort)
set -m # each in a group of its own, so that it can be ended
for file in $(wc -l $tables | sort -rn | awk '$2 != "total" { print $2 }'); do
	while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-2}" ]; do wait -n || true; done
	dir=$work/${file//\//-}
	mkdir "$dir"
	{ table "$file" "$dir" >"$dir/told" 2>&1 </dev/null && touch "$dir/passed"; } &
done
wait
printf "$row" mutant package caught test fault
failed=
for file in $tables; do
	cat "$work/${file//\//-}/told"
	[ -e "$work/${file//\//-}/passed" ] || failed=yes
done
if [ -e "$work/survived" ]; then
	echo "not caught: $(tr '\n' ' ' <"$work/survived")"
	exit 1
fi
[ -z "$failed" ]
