#!/usr/bin/env bash
# Pictures of Home, light and dark, wide and narrow, under docs/; with `pictures`, of every state of the chat, under
# test-results/chat.
set -euo pipefail
cd "$(dirname "$0")/.."
found=$(scripts/deps.sh --print)
while IFS= read -r line; do export "${line?}"; done <<<"$found"
npm run "${1:-screens}" --workspace e2e
