#!/usr/bin/env bash
# Pictures of Home, light and dark, wide and narrow, under docs/.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
npm run screens --workspace e2e
