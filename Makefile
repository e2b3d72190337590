# Roomlog. `make` alone prints what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
GO_FILES     = $(shell find bench chaos child client cmd deploy e2e examples history internal scripts server spec web -name node_modules -prune -o -name '*.go' -print 2>/dev/null)
CLIENT_FILES = $(shell find client/src client/package.json client/tsconfig*.json client/*.mjs tsconfig.base.json -type f 2>/dev/null)
WEB_FILES    = $(shell find web/src web/public web/*.html web/*.ts web/package.json web/tsconfig*.json -type f 2>/dev/null)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# What needs no database server, no binary and no browser.
UNIT         = $(shell go list ./... | grep -v -e /server/store/postgres -e /server/bus/redis -e /e2e)
# What carries hints between the nodes of `make cluster`: redis, nats or none.
BUS         ?= redis
# Packages built and tested at a time; two cores are what a small machine has.
JOBS        ?= 2
# The binary names no paths of the machine that built it. In `make test` it may: what was compiled for it then
# serves vet, the linters and the tests as well, and SQLite is compiled once.
TRIMPATH    := -trimpath

.PHONY: help build run cluster check lint test fuzz mutants bench peers screens pictures audit clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: web/dist/index.html ## build bin/roomlog, with the client and the pages inside
	@scripts/go-version.sh
	go build -p $(JOBS) $(TRIMPATH) -ldflags "-X main.version=$(VERSION)" -o bin/roomlog ./cmd/roomlog

run: build ## build, then serve two talking panes on http://127.0.0.1:8080
	bin/roomlog dev

cluster: build ## serve one log from three nodes behind a load balancer; BUS=nats takes another bus, CLUSTER="--nodes 5" arguments
	BUS=$(BUS) scripts/cluster.sh $(CLUSTER)

check: lint web/dist/index.html ## the fast part: format, lint, types, unit suites on SQLite
	go test -vet=off -short -p $(JOBS) $(UNIT)
	npm test --workspace client --workspace web

lint: web/dist/index.html
	@unformatted=$$(gofmt -l $(GO_FILES)); [ -z "$$unformatted" ] || { echo "gofmt these: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags mutant $$(find server -name mutants.txt -printf './%h\n')
	$(STATICCHECK) ./...
	npm run check --workspace client --workspace web --workspace e2e

test: TRIMPATH :=
# SQLite is not watched by the race detector: it is C in Go, not ours, and ten times slower with it, in each of hundreds
# of tests. Said to every build of a run, those that tests make included, so that it is compiled once.
test: export GOFLAGS += -gcflags=modernc.org/...=-race=false
test: build ## everything: check, -race on both stores, seeded runs, a real browser
	scripts/test.sh

fuzz: web/dist/index.html ## give every parser hostile bytes, for 10 s each or as FUZZ=60s says
	scripts/fuzz.sh

mutants: web/dist/index.html ## build faulty variants and print which invariant catches each
	scripts/mutants.sh

bench: build ## measure every row of `roomlog bench` on both stores; BENCH="--runs 1 --only sse" passes arguments
	scripts/bench.sh $(BENCH)

# A module of its own, whose Go and dependencies are newer than ours: what checks it stands here, not in lint.
peers: ## build the servers that `bin/roomlog bench --peers` compares with, from the registries
	@scripts/node-version.sh
	cd bench/peers && go vet ./... && $(STATICCHECK) ./... && go build -p $(JOBS) -trimpath -o ../../bin/peers/ ./...
	cd bench/peers/socketio && npm ci --no-audit --no-fund
	ln -sfn ../../bench/peers/socketio/server.mjs bin/peers/socketio
	go test -tags peers -count=1 -run TestPeersSpeak ./bench

curves: build ## measure how cost grows, for docs/performance: half an hour
	scripts/curves.sh

plots: ## draw the curves of docs/performance
	go run ./bench/plots docs/performance

screens: build ## take the pictures of Home under docs/
	scripts/screens.sh

pictures: build ## take a picture of every state of the chat, the shared pointers, the board, the document and the dashboard, to be looked at, under test-results
	scripts/screens.sh pictures

audit: ## look for known vulnerabilities, where the database can be reached
	scripts/audit.sh

clean: ## remove what was built
	rm -rf bin client/dist node_modules/.installed test-results
	find web/dist -mindepth 1 ! -name .gitkeep -delete

# The mark lies inside node_modules, so that removing the folder installs again.
node_modules/.installed: package-lock.json
	@scripts/node-version.sh
	npm ci --no-audit --no-fund
	@touch $@

client/dist/index.js: node_modules/.installed $(CLIENT_FILES)
	npm run build --workspace client
	@touch $@

web/dist/index.html: client/dist/index.js $(WEB_FILES)
	npm run build --workspace web
	@touch $@
