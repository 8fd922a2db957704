# Two commands matter to a newcomer: "make demo" and "make test".
# "make help" lists the others.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Google's library carries a second transport, which is not used: a sixth of the binary.
TAGS    := disable_grpc_modules
# One set of flags for the product, the linter and the tools: Go compiles every library once for
# each. The tests' programs have them too (lab/process).
BUILD   := CGO_ENABLED=0 GOFLAGS='$(strip $(shell $(GO) env GOFLAGS) -trimpath -tags=$(TAGS))'

# What "make bench" compares on: bytes of each corpus, how often, and where the
# work is done and the figures are put. Three and a half times BENCHSIZE must be free there.
BENCHSIZE ?= 10GB
BENCHRUNS ?= 3
BENCHDIR  ?= $(BIN)/bench
# Which packages, and for how long, "make fuzz", "make bench" and "make soak" work.
PKG      ?= ./...
FUZZTIME ?= 10m
SOAKMINUTES ?= 10
STEPS    ?= 100000
FAULTRUNS ?= 1000
# What "make demo" backs up; any directory will do.
DEMO_SOURCE ?=

# The tools, pinned in tools/go.mod, and the servers that tests start, pinned in
# tools/servers; rebuilt only when that changes.
LINTER  := $(BIN)/golangci-lint
TESTERS := $(BIN)/gotestsum $(BIN)/nats
TOOLS   := $(LINTER) $(TESTERS) $(BIN)/gofumpt $(BIN)/govulncheck
# Checks types for other operating systems, from the source.
ELSEWHERE := $(BIN)/elsewhere
SERVERS := $(BIN)/versitygw $(BIN)/fake-gcs-server

# A program with the race detector sleeps for a second before it exits, in case another goroutine
# races still. Scripts of the command line run hundreds of them, each over when its work is.
export GORACE ?= atexit_sleep_ms=20

# Packages tested at a time. Most of what their tests do is to wait for servers that start, leases
# that lapse and programs that end: with one package for each processor, half of the time is idle.
AT_ONCE ?= 4

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## the whole story on this machine in under a minute: back up, break, verify, restore
	@$(BIN)/mahavishnu demo $(if $(DEMO_SOURCE),--source "$(DEMO_SOURCE)")

# "make lint" vets already, and nobody debugs a test's program: both would take minutes.
.PHONY: test
test: $(TESTERS) $(SERVERS) build ## every test with the race detector on; says how many and how long
	@.ci/packages
	@mkdir -p $(BIN)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/gotestsum --format pkgname-and-test-fails --hide-summary=skipped \
		--jsonfile-timing-events $(BIN)/test.json -- -race -vet off -ldflags=-w -p $(AT_ONCE) -timeout 15m $(TESTFLAGS) $(PKG)

.PHONY: build
build: ## the static binary bin/mahavishnu
	@mkdir -p $(BIN)
	$(BUILD) $(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

.PHONY: lint
lint: $(LINTER) $(ELSEWHERE) ## the linters, the floors of the architecture, and the other operating systems
	$(BUILD) $(BIN)/golangci-lint run ./...
	$(BUILD) $(GO) test -C tools ./elsewhere
	$(BIN)/elsewhere darwin windows

.PHONY: format
format: $(LINTER) ## format the code the way lint wants it
	$(BIN)/golangci-lint fmt ./...

.PHONY: vulnerable
vulnerable: $(BIN)/govulncheck ## known vulnerabilities that the code reaches (needs the internet)
	$(BIN)/govulncheck ./...

.PHONY: bench
bench: build ## benchmarks beside the hot code, then restic, borg and kopia at BENCHSIZE; an hour and a half at 10GB
	$(GO) test -run '^$$' -bench . -benchmem $(PKG)
	@mkdir -p $(BENCHDIR)
	@for corpus in mixed files; do \
		$(BIN)/loadtest compare --corpus $$corpus --size $(BENCHSIZE) --runs $(BENCHRUNS) \
			--dir $(BENCHDIR)/work --json $(BENCHDIR)/$$corpus.json; \
	done
	@$(BIN)/loadtest report $(BENCHDIR)/mixed.json $(BENCHDIR)/files.json --html $(BENCHDIR)/comparison.html >/dev/null
	@echo; echo "figures and plots: $(BENCHDIR)/comparison.html"

.PHONY: fuzz
fuzz: ## every decoder's fuzz target for FUZZTIME each, as many at a time as there are cores; ends with a table
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" .ci/fuzz $(PKG)

.PHONY: soak
soak: build ## the long proofs: STEPS steps of random histories, power loss at every write, processes killed for SOAKMINUTES, FAULTRUNS runs of random faults; then all tests in random order
	@step() { printf '\n== %s (%d min so far)\n' "$$1" $$((SECONDS / 60)); }; \
	step "histories: $(STEPS) steps"; \
	HISTORIES_STEPS=$(STEPS) $(GO) test -count 1 -v -timeout 3h -run 'TestHistories' ./e2e/histories -rapid.steps=80; \
	step "power loss of every kind at every write of a backup, a prune and a repair; every damage to every object"; \
	HISTORIES_STEPS=$(STEPS) $(GO) test -count 1 -v -timeout 1h -run 'TestPowerCut|TestCorruption' ./e2e/histories; \
	step "sessions and power loss below trees"; \
	$(GO) test -count 1 -timeout 1h -run 'TestModel|TestStopAtEveryWrite' ./repository -rapid.checks=2000; \
	step "replication, whatever happens meanwhile"; \
	$(GO) test -count 1 -timeout 2h -run 'TestModel' ./replication -rapid.checks=1000; \
	step "ten writers and two prunes, killed at random, for $(SOAKMINUTES) min"; \
	MANY_MINUTES=$(SOAKMINUTES) $(GO) test -count 1 -v -timeout $$(( $(SOAKMINUTES) + 30 ))m -run 'TestManyAtOnce' ./e2e; \
	step "a region cut off for a minute and more, one way, and on and off"; \
	NETLAB_LONG=1 $(GO) test -count 1 -v -timeout 30m -run 'TestRegionCutOffAlive' ./e2e/netlab; \
	step "$(FAULTRUNS) runs of random faults on whole systems, about ten minutes for a thousand on two cores"; \
	FAULTS_RUNS=$(FAULTRUNS) $(GO) test -count 1 -v -timeout 3h -run 'TestRandomFaults' ./e2e/faults; \
	step "all tests in random order, with the race detector"; \
	$(GO) test -race -count 1 -shuffle on -timeout 60m $(PKG); \
	step "done"

.PHONY: docs
docs: build ## regenerate what is generated from the code: commands, configuration reference, schemas
	$(BIN)/mahavishnu man --markdown docs/commands.md
	$(BIN)/mahavishnu man --dir $(BIN)/man
	$(GO) generate ./config

.PHONY: tools
tools: $(TOOLS) $(ELSEWHERE) $(SERVERS) ## build the pinned tools and test servers below tools/ into bin/

$(TOOLS): tools/go.mod tools/go.sum
	@mkdir -p $(BIN)
	$(BUILD) $(GO) build -C tools -o ../$@ $$(sed -n 's|^\t\(.*/$(@F)\)$$|\1|p' tools/go.mod)
	@touch $@

$(ELSEWHERE): tools/go.mod tools/go.sum tools/elsewhere/main.go
	@mkdir -p $(BIN)
	$(BUILD) $(GO) build -C tools -o ../$@ ./elsewhere

$(SERVERS): tools/servers/go.mod tools/servers/go.sum
	@mkdir -p $(BIN)
	$(BUILD) $(GO) build -C tools/servers -o ../../$@ $$(sed -n 's|^\t\([^ ]*/$(@F)\)$$|\1|p' tools/servers/go.mod)
	@touch $@

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BIN)
