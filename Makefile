# Weir: one binary. `make run` serves an example, `make test` checks everything.

.DEFAULT_GOAL := help
.PHONY: help run test fmt lint bench bench-large bench-kafka bench-peers soak install require

EXAMPLE ?= hello
# Logs that the tests run on: sqlite, postgres, kafka (needs a JDK, Maven and kcat). What is not named is left out, and said so.
export REQUIRE_BACKENDS ?= sqlite,postgres,kafka
LEFT_OUT = $(strip $(foreach backend,postgres kafka,$(if $(findstring $(backend),$(REQUIRE_BACKENDS)),,$(backend))))
CARGO ?= cargo
SOAK_TABLE = $(TARGET_DIR)/soak.md
TARGET_DIR = $(shell $(CARGO) metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# rustup puts cargo here; a shell that was open before does not know it yet
export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: require ## Build and serve examples/hello (EXAMPLE=shop for another)
	$(CARGO) run --release --locked --package weir-cli -- dev examples/$(EXAMPLE)

test: require lint ## Everything that must hold: format, lints, docs, all tests, all examples
	@sh scripts/require test
	$(CARGO) build --workspace --locked --bins --tests
	WEIR_BIN="$(TARGET_DIR)/debug/weir" sh scripts/test "$(TARGET_DIR)/test.log" $(CARGO) test --workspace --locked --no-fail-fast $(if $(LEFT_OUT),-- $(LEFT_OUT:%=--skip %))
	@[ -z "$(LEFT_OUT)" ] || echo "left out, \"filtered out\" above: every test on: $(LEFT_OUT) (REQUIRE_BACKENDS=$(REQUIRE_BACKENDS))"

lint: require ## Formatting, clippy and rustdoc, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps

fmt: require ## Format the code
	$(CARGO) fmt --all

bench: require ## What we claim about speed, measured on this machine into docs/benchmarks.md
	@sh scripts/require test && sh scripts/require-bench
	$(CARGO) run --release --locked --package weir-benches

bench-large: require ## What a topic of ten million events costs, into docs/benchmarks.md
	@sh scripts/require test
	$(CARGO) run --release --locked --package weir-benches -- large

bench-kafka: require ## The log in Kafka beside Kafka's own tools and Kafka Streams, into docs/benchmarks.md
	@sh scripts/require test && sh scripts/require-bench kafka
	$(CARGO) run --release --locked --package weir-benches -- kafka

bench-peers: require ## Weir beside Restate, JetStream, job queues and nginx, on the same work, into docs/benchmarks.md
	@sh scripts/require test && sh scripts/require-bench peers
	$(CARGO) run --release --locked --package weir-benches -- peers

soak: require ## Faults under load and schedules, for long (SOAK_KILLS=200 SOAK_SEEDS=200000 SOAK_HELD=1800); ends with a table; as root also full and read-only disks
	@sh scripts/require test
	[ "$$(id -u)" != 0 ] || $(CARGO) test --locked --package weir-log --test disk -- --include-ignored </dev/null
	HELD_SECONDS=$(or $(SOAK_HELD),1800) $(CARGO) bench --locked --package weir-log --bench held
	$(CARGO) build --release --locked --package weir-cli
	WEIR_BIN="$(TARGET_DIR)/release/weir" SOAK_KILLS=$(or $(SOAK_KILLS),200) \
		$(CARGO) test --locked --package weir-tests --test crash -- --nocapture
	SOAK_KILLS=$(or $(SOAK_KILLS),200) $(CARGO) test --locked --package weir-log --test crash kafka
	WEIR_SIM_SEEDS=$(or $(SOAK_SEEDS),200000) $(CARGO) test --release --locked --package weir-triggers \
		--test simulation -- --include-ignored --nocapture --skip how_many
	@rm -f "$(SOAK_TABLE)"
	WEIR_BIN="$(TARGET_DIR)/release/weir" SOAK_FAULTS=full SOAK_TABLE="$(SOAK_TABLE)" \
		$(CARGO) test --locked --package weir-tests --test postgres_faults --test kafka_faults --no-fail-fast -- --test-threads 1 $$([ "$$(id -u)" != 0 ] || echo --include-ignored)
	@echo
	@echo "| fault (of PostgreSQL, where nothing else is said) | nodes | times | acknowledged | not acknowledged | lost | doubled | recovery p50 | longest |"
	@echo "|---|---|---|---|---|---|---|---|---|"
	@cat "$(SOAK_TABLE)"

install: require ## Build and install `weir` for this user
	$(CARGO) install --locked --path cli

require: ## Install what a build needs, or say how
	@sh scripts/require
