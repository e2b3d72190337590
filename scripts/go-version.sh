#!/usr/bin/env bash
# Says plainly when Go is missing or too old, before the compiler says it at length.
set -euo pipefail
need=1.25
if ! command -v go >/dev/null; then
	echo "Go is not installed; Roomlog needs Go $need or newer: https://go.dev/dl/" >&2
	exit 1
fi
have=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
if [ "$(printf '%s\n' "$need" "$have" | sort -V | head -1)" != "$need" ]; then
	echo "Go $have is too old; Roomlog needs Go $need or newer: https://go.dev/dl/" >&2
	exit 1
fi
