#!/usr/bin/env bash
# Copies a room into a file and stays with it: TOKEN=… follow.sh chat:lobby copy.txt
#
# Each line is a position, a tab and a page. The last line says where to go on; one that was cut short is dropped.
# A page with a "reason" is a reset: what stands above it belongs to a log that does not go on.
set -uo pipefail
room=$1 file=$2 server=${ROOMLOG_URL:-http://127.0.0.1:8080}

touch "$file"
[ -z "$(tail -c 1 "$file")" ] || sed -i '$d' "$file"
while :; do
	position=$(tail -n 1 "$file" | cut -f 1)
	curl -sSfN --keepalive-time 20 -H "Authorization: Bearer $TOKEN" -H "Last-Event-ID: ${position:-0}" \
		"$server/v1/sse?room=$room" |
		while IFS= read -r line; do
			case $line in
			id:*) id=${line#id: } ;;
			event:*) event=${line#event: } ;;
			data:*) [ "$event" = ready ] || printf '%s\t%s\n' "$id" "${line#data: }" >>"$file" ;;
			esac
		done
	sleep 1
done
