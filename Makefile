# Two commands on a fresh Debian machine: `make demo` runs the main job, `make test` passes the tests.
# Both do the set-up they need; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup system demo test test-code test-benches lint format lock killtest powercut residency interop mutation bench clean

help:            ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*##/  make \1\t/' | expand -t 20

setup: system $(STAMP)  ## own .venv from the committed lock, mosquitto from Debian when missing

system:
	@sh tools/setup_system.sh $(PYTHON)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup      ## two regions, two vehicles, one drive, end to end
	$(BIN)/fsdctl demo

test: setup      ## the whole test suite: tests of the code and the benches, beside each other
	@$(MAKE) --no-print-directory -j2 test-code test-benches

test-code:
	$(BIN)/pytest -q agent firmware_bindings models tools

test-benches:
	$(BIN)/pytest -q hil_tests

lint: setup      ## ruff, mypy --strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup    ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

killtest: setup  ## kill -9 the agent KILLS times (default 500) and account for every firing
	FSD_KILLS=$${KILLS:-500} $(BIN)/pytest -q -s hil_tests/test_kill.py

powercut: setup  ## cut the power of vehicles CUTS times (default 1000; SEED, JOBS) and account for every firing; or REPLAY=seed; LIE=commits or folders must fail
	$(BIN)/python -m hil_tests.powercut $(if $(LIE),--lie $(LIE)) $(if $(REPLAY),--replay $(REPLAY),--cuts $${CUTS:-1000} --seed $${SEED:-1} --jobs $${JOBS:-2})

residency: setup ## SCHEDULES of faults (default 2000) against the walls, with a capture at every region; or REPLAY=seed
	$(BIN)/python -m hil_tests.wire $(if $(REPLAY),--replay $(REPLAY) $(if $(JOURNEY),--journey),--schedules $${SCHEDULES:-2000} --jobs $${JOBS:-2})

interop: setup   ## the uplink against mosquitto, ejabberd and nats-server, in MQTT 5 and 3.1.1; installs them from Debian
	@sh tools/setup_system.sh $(PYTHON) ejabberd nats-server
	FSD_INTEROP=all $(BIN)/pytest -q hil_tests/interop

mutation: setup  ## change the code that decides, and see that a test notices; write docs/mutation.md. ONLY=paths, AGAIN=1, CHECK=1
	PYTHONHASHSEED=0 $(BIN)/python -m hil_tests.mutation $(ONLY) --jobs $${JOBS:-2} $(if $(AGAIN),--again) $(if $(CHECK),--check)

bench: setup     ## run every benchmark and write docs/performance.md
	$(BIN)/fsdctl bench report -o docs/performance.md

lock: setup      ## resolve requirements/*.txt anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra video --extra pkcs11 -o requirements/car.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra video --extra pkcs11 --extra tools --group dev -o requirements/dev.txt

clean:           ## remove what the build and the demo made
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
