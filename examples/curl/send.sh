#!/usr/bin/env bash
# Sends one event, once, however often it is tried: TOKEN=… send.sh chat:lobby '{"text":"hello"}' [TAG]
set -euo pipefail
room=$1 data=$2 server=${ROOMLOG_URL:-http://127.0.0.1:8080}
tag=${3:-$(cat /proc/sys/kernel/random/uuid)}

curl -sS --retry 10 --retry-all-errors --max-time 30 -H "Authorization: Bearer $TOKEN" \
	-H 'Content-Type: application/json' -d "{\"tag\":\"$tag\",\"type\":\"message\",\"data\":$data}" \
	"$server/v1/rooms/$room/events"
