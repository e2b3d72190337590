#!/usr/bin/env bash
# Posts this machine's load to a feed, once a second: TOKEN=… produce.sh feed:machine [POINTS]
set -euo pipefail
room=$1 points=${2:-0} server=${ROOMLOG_URL:-http://127.0.0.1:8080}

for ((n = 1; points == 0 || n <= points; n++)); do
	read -r one five _ </proc/loadavg
	data="{\"t\":$(date +%s%3N),\"v\":{\"load_1\":$one,\"load_5\":$five}}"
	tag=$(cat /proc/sys/kernel/random/uuid) # one for each point, whatever it takes to send it
	curl -sS --retry 100 --retry-all-errors --retry-delay 1 --max-time 30 --fail-with-body \
		-H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
		-d "{\"tag\":\"$tag\",\"type\":\"point\",\"data\":$data}" "$server/v1/rooms/$room/events" >/dev/null
	sleep "${EVERY:-1}"
done
