# Squall. `make help` lists every command a person types.
SHELL := /bin/bash
GO ?= go
SCENARIO ?= quarterly-peak
SEED ?=
export CGO_ENABLED ?= 0
BIN := bin/squall
# Only what is there: git also lists a file whose removal is not staged yet.
SOURCES := $(wildcard $(shell git ls-files -co --exclude-standard '*.go' go.mod go.sum target/ecotrack scenarios reports 2>/dev/null))

.DEFAULT_GOAL := help
.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Static whatever the environment says, and the same bytes at each commit that changes no code.
$(BIN): $(SOURCES)
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w' -o $@ .

# The commit lies beside the program: in it, each commit would make another image of 27 MB (DESIGN.md, decision 14).
.PHONY: version
version: $(BIN)
	@git describe --always --dirty --exclude '*' --abbrev=12 >$(BIN).version 2>/dev/null || rm -f $(BIN).version

.PHONY: build
build: $(BIN) version ## build bin/squall, one static binary

# A machine without a registry needs mmdebstrap to make the base image; the script gets it.
.PHONY: setup
setup: $(BIN) version ## make every image that a run needs (cached after the first time)
	@target/ecotrack/setup.sh
	$(BIN) images

.PHONY: run
run: setup ## build what is missing and run a scenario: make run [SCENARIO=quarterly-peak] [SEED=1]
	$(BIN) run $(SCENARIO) $(if $(SEED),--seed $(SEED))

.PHONY: unit
unit: ## the tests that need no Docker, with the race detector
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -skip '^TestContainer' ./...

# One package after the other: two runs at once would fight over two cores.
GO_CONTAINERS := $(GO) test -count=1 -p 1 -timeout 25m -run '^TestContainer'
.PHONY: containers
containers: setup ## the tests that start containers, and short end-to-end runs with their controls
	SQUALL_BINARY=$(CURDIR)/$(BIN) target/ecotrack/with-services.sh $(GO_CONTAINERS) ./target/ecotrack/...
	SQUALL_BINARY=$(CURDIR)/$(BIN) $(GO_CONTAINERS) $$($(GO) list ./... | grep -v /target/ecotrack/)

.PHONY: test
test: unit containers ## everything that must hold: what CI runs

.PHONY: fuzz
fuzz: ## every fuzz target for 30 s
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$p || exit 1; done; done

.PHONY: bench
bench: ## benchmarks, ten times each, into bench.txt for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 10 ./... | tee bench.txt

.PHONY: golden
golden: ## rewrite golden files, then show what changed
	$(GO) test ./reports/... ./scenarios/... ./loadgen/... -skip '^TestContainer' -update; git diff --stat

LINT := bin/golangci-lint-$(shell sed -n '1s/^\# //p' .golangci.yml)
$(LINT):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(lastword $(subst -, ,$@))
	mv bin/golangci-lint $@

.PHONY: lint fmt
lint: $(LINT) ## the pinned golangci-lint
	$(LINT) run ./...
fmt: $(LINT) ## format
	$(LINT) fmt ./...

.PHONY: clean
clean: ## remove every container, network and volume of Squall's runs, and bin/
	-[ -x $(BIN) ] && $(BIN) down
	rm -rf bin
