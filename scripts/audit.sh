#!/usr/bin/env bash
# Known vulnerabilities in what the binary uses. The database is on the network: where it cannot be
# reached, one line says so, and that is not a failure.
set -uo pipefail
out=$(go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./... 2>&1)
status=$?
if [ $status -ne 0 ] && grep -qiE 'fetching vulnerabilities|no such host|connection refused|dial tcp|i/o timeout|vuln\.go\.dev|Forbidden|proxyconnect' <<<"$out"; then
	echo "govulncheck: not run, its database cannot be reached from here"
	exit 0
fi
printf '%s\n' "$out"
exit $status
