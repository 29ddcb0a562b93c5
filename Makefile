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
	@GO=$(GO) target/ecotrack/modules.sh
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w' -o $@ .

# The commit lies beside the program: in it, each commit would make another image of 27 MB (DESIGN.md, decision 50).
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

# Compiled first, two at a time; then one package after the other, so that nothing but the race detector slows a test down.
.PHONY: unit
unit: ## the tests that need no Docker, with the race detector
	@GO=$(GO) target/ecotrack/modules.sh
	CGO_ENABLED=1 $(GO) build -race ./...
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -p 1 -timeout 10m -skip '^Test(Container|Deep|Prove)' ./...

# Tests that start containers are named by their suite: TestContainer, TestDeep, TestProve. One package after the other:
# two runs at once would fight over two cores; -v shows how long each took and what was REPEATED. What lies in target/ecotrack needs a database and a queue beside it.
IN_CONTAINERS := CGO_ENABLED=0 SQUALL_BINARY=$(CURDIR)/$(BIN) $(GO) test -v -count=1 -p 1
WITH_SERVICES := CGO_ENABLED=0 SQUALL_BINARY=$(CURDIR)/$(BIN) target/ecotrack/with-services.sh $(GO) test -v -count=1 -p 1
OUTSIDE_ECOTRACK = $$($(GO) list ./... | grep -v /target/ecotrack/)

.PHONY: containers
containers: setup ## the tests of make test that start containers: short end-to-end runs, controls, ledger, queue, agent, reaper
	$(WITH_SERVICES) -timeout 10m -run '^TestContainer' ./target/ecotrack/...
	$(IN_CONTAINERS) -timeout 60m -run '^TestContainer' $(OUTSIDE_ECOTRACK)

.PHONY: test
test: unit containers ## what must hold on every commit, on any machine: what CI runs (10 minutes)

.PHONY: test-deep
test-deep: lint setup ## lint, every other container test, shipped scenarios as they are, 20-fold repeats; by hand and nightly
	$(WITH_SERVICES) -timeout 60m -run '^TestContainer' -count=20 ./target/ecotrack/ledger ./target/ecotrack/engine
	$(IN_CONTAINERS) -timeout 60m -run '^TestContainerAgent' -count=20 ./chaos/agent
	$(IN_CONTAINERS) -timeout 90m -run '^TestDeep' $(OUTSIDE_ECOTRACK)

.PHONY: prove
prove: setup ## every figure that README states, beside its bound; by hand, on a quiet machine (11 minutes)
	@$(IN_CONTAINERS) -timeout 60m -run '^TestProve' ./... >bin/prove.log 2>&1; code=$$?; \
	  sed -n 's/.*FIGURE /  /p' bin/prove.log; grep -E '^ *--- FAIL' bin/prove.log; \
	  [ $$code = 0 ] && echo "prove: every figure holds" || echo "prove: not every figure holds: bin/prove.log"; exit $$code

# A system that a person keeps (squall up, squall run --keep) is left alone.
.PHONY: sweep
sweep: $(BIN) ## remove what killed runs and killed tests have left
	$(BIN) recover
	docker image prune -af --filter label=squall.test >/dev/null
	@for n in $$(ip netns list 2>/dev/null | grep -o '^sq[cv][0-9]*'); do \
	  [ -d /proc/$${n#sq?} ] || { echo "netns $$n: removed"; ip netns del $$n; }; done

.PHONY: fuzz
fuzz: ## every fuzz target for 30 s
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$p || exit 1; done; done

.PHONY: bench
bench: ## benchmarks, ten times each, into bench.txt for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 10 ./... | tee bench.txt

.PHONY: golden
golden: ## rewrite golden files, then show what changed
	$(GO) test ./reports/... ./scenarios/... ./loadgen/... -skip '^Test(Container|Deep|Prove)' -update; git diff --stat

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
