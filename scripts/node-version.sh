#!/usr/bin/env bash
# Says plainly when Node is missing or too old, before a package fails in the middle.
set -euo pipefail
need=20.19.0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo "Node or npm is not installed; Roomlog needs Node $need or newer: https://nodejs.org/" >&2
	exit 1
fi
have=$(node --version | sed 's/^v//')
if [ "$(printf '%s\n' "$need" "$have" | sort -V | head -1)" != "$need" ]; then
	echo "Node $have is too old; Roomlog needs Node $need or newer: https://nodejs.org/" >&2
	exit 1
fi
