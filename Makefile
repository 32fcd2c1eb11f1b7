# Each target calls something that can also be called by hand. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Cargo, the suites and apt each want the machine for themselves.
.NOTPARALLEL:

CARGO   ?= cargo
# Always the whole workspace: cargo builds half of the dependencies anew for another choice of
# members, whose features differ.
BUILD   := $(CARGO) build --workspace
TEST    := $(CARGO) test --no-fail-fast --workspace
BIN     := $(or $(CARGO_TARGET_DIR),target)/debug

# Before anything is built: what is missing is installed, or said.
CHECK   := @.ci/packages

# The kubectl that the harness built, so that everybody generates with the same one; else PATH's.
CACHE   := $(or $(MOTHERSHIP_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache))/k0smotron-mothership
KUBERNETES := $(shell sed -n 's/^\tk8s.io\/kubernetes \(v[^ ]*\).*/\1/p' tests/components/kubernetes/go.mod)
KUBECTL ?= $(firstword $(wildcard $(CACHE)/kubernetes-$(KUBERNETES)-*/bin/kubectl) kubectl)

# Where the images of the product are pulled from by the cluster that `make install` installs on.
REGISTRY ?= localhost/k0smotron

##@ Try it
.PHONY: help demo demo-down
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## from nothing to a pod on a worker of a hosted cluster (MOTHERSHIP=current: on yours)
	$(CHECK) $(if $(filter current,$(MOTHERSHIP)),images,full)
	$(BUILD) --bin mothership --bin demo
	$(BIN)/demo

demo-down: ## end the demo's mothership and everything that belongs to it
	$(BUILD) --bin mothership --bin demo
	$(BIN)/demo --down

##@ Develop
.PHONY: test test-unit test-suites test-light test-full test-long fuzz bench lint generate check-generated deps components
test: ## unit, light and full suites; the full ones need root
	$(CHECK) suites
	@# Not as prerequisites, which would be made although the check failed where make keeps going.
	@$(MAKE) test-unit test-suites

# The integration tests that lie in the tests folder of a member; the suites do not.
UNIT := $(basename $(notdir $(wildcard */tests/*.rs tests/*/tests/*.rs) $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs))))

test-unit: ## every member's own tests
	$(CHECK) build
	$(TEST) --lib --bins --examples $(addprefix --test ,$(UNIT))
	$(TEST) --doc

# Those that take longest come first. Most of their time they wait, so that many run at a time; what
# one has to say is printed when it ends.
named = $(basename $(notdir $(wildcard tests/suites/$(1)_*)))
first = $(1) $(filter-out $(1),$(call named,$(2)))
FULL  := $(call first,full_clusters full_plugin,full) harness
LIGHT := $(call first,light_plugin light_faults light_controller light_fields,light)
AT_ONCE ?= 4
suites = @$(TEST) --no-run $(addprefix --test ,$(1)) && \
  $(MAKE) --file tests/suites.mk --jobs $(AT_ONCE) --output-sync=target --keep-going TEST='$(TEST)' $(1)

test-suites:
	$(call suites,$(FULL) $(LIGHT))

test-light: ## suites against an API server without nodes
	$(CHECK) light
	$(call suites,$(LIGHT))

test-full: ## suites with pods and worker machines (root)
	$(CHECK) suites
	$(call suites,$(FULL))

test-long: ## every fault at every request of every workload, every value of every field: hours on two cores (root)
	$(CHECK) suites
	$(TEST) --test 'long_*'
	FIELDS=all $(TEST) --test light_fields

# How long each target goes on before it is another's turn, and which; where the input lies that ended
# a whole process.
FUZZ_SECONDS ?= 60
FUZZ ?= fuzz::
FUZZ_LAST ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/fuzz/last

fuzz: ## what others send, wrong in every way, until something fails or it is stopped (FUZZ= FUZZ_SECONDS=)
	$(CHECK) build
	mkdir -p $(FUZZ_LAST)
	while :; do \
	  FUZZ_LAST=$(FUZZ_LAST) BOLERO_RANDOM_TEST_TIME_MS=$$(( $(FUZZ_SECONDS) * 1000 )) \
	    $(TEST) --profile fuzz --lib -- $(FUZZ); \
	done

bench: ## what is measured: requests, time to Available, loss of a pod, many Clusters, the plugin, admission under load (root)
	$(CHECK) suites
	$(TEST) --test light_controller -- requests:: --nocapture
	$(TEST) --test full_clusters -- ready:: highly_available:: --nocapture
	$(TEST) --test bench_plugin -- --nocapture
	$(TEST) --test bench_scale
	@# Optimised, or the load would take most of the processors that it shares with the webhook.
	$(TEST) --release --test bench_admission -- --nocapture

lint: ## formatting, clippy, documentation, dependencies
	$(CHECK) lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) deny --log-level error check bans licenses sources

INSTALL_YAML = { echo '\# Made from deploy/base by `make generate`.'; $(KUBECTL) kustomize deploy/base; }

generate: ## write crds/yaml, the examples, deploy/install.yaml and docs/reference
	$(CHECK) build
	$(BUILD) --bin crdgen
	$(BIN)/crdgen
	$(BUILD) --example reference
	$(BIN)/examples/reference markdown docs/reference
	@# By way of a file beside it: a kubectl that fails must not leave half of it.
	$(INSTALL_YAML) > deploy/install.yaml.new || { rm -f deploy/install.yaml.new; exit 1; }
	mv deploy/install.yaml.new deploy/install.yaml

check-generated: ## fail when something generated is stale
	$(CHECK) build
	$(BUILD) --bin crdgen
	$(BIN)/crdgen --check
	$(BUILD) --example reference
	$(BIN)/examples/reference markdown --check docs/reference
	$(INSTALL_YAML) | diff -u deploy/install.yaml - || { echo 'deploy/install.yaml is stale: make generate' >&2; exit 1; }
	for overlay in deploy/overlays/*; do $(KUBECTL) kustomize $$overlay >/dev/null; done

components: ## build Kubernetes and what else the mothership runs (once)
	$(CHECK) light
	$(BUILD) --bin mothership
	$(BIN)/mothership build

deps: ## install what all of these need, or say what is missing (root)
	$(CHECK) lint suites

##@ Install
.PHONY: images release install uninstall
images: ## pack the product's images, and print their names and archives
	$(CHECK) images
	$(BUILD) --bin mothership
	$(BIN)/mothership image pack controller
	$(BIN)/mothership image pack webhook

release: ## pack the plugin into dist/; RELEASE_URL= says where its archives will be downloaded from
	$(CHECK) images
	.ci/release

# Both go where the plugin goes; what was meant for kubectl alone must not be lost without a word.
ONLY_PLUGIN = $(if $(filter command environment,$(firstword $(origin KUBECTL))),$(error \
  this runs kubectl-k0smotron and not KUBECTL: unset that, and say where with ARGS, such as ARGS='--context prod'))

install: ## install on the cluster of the current context; REGISTRY= says where its images are
	$(ONLY_PLUGIN)$(CHECK) build
	$(BUILD) --bin kubectl-k0smotron
	$(BIN)/kubectl-k0smotron install --registry $(REGISTRY) --wait $(ARGS)

uninstall: ## remove it again; refused while Clusters exist, since the CRDs would take them along
	$(ONLY_PLUGIN)$(CHECK) build
	$(BUILD) --bin kubectl-k0smotron
	$(BIN)/kubectl-k0smotron uninstall $(ARGS)
