# Every target sets up what it needs by itself: Python 3.11 or newer, make and git are all it takes.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# By folder, as the files of few but long tests would else come last, and leave one worker alone with them.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links

export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where the home folder cannot be written, caches stay inside the repository.
ifneq ($(shell test -w "$$HOME" || echo no),)
export UV_CACHE_DIR := $(CURDIR)/.venv/cache
export PIP_NO_CACHE_DIR := 1
export LOCKSTITCH_HOME ?= $(CURDIR)/var/home
endif

.PHONY: run test test-long lint fix bench lock clean
.DELETE_ON_ERROR:

run: .venv/run.stamp  ## the demo: a bucket in Heap's format into var/demo.duckdb
	@$(BIN)/lockstitch demo $(ARGS)

test: .venv/dev.stamp  ## all tests but the long ones
	@$(PYTEST) -m "not long" $(ARGS)

test-long: .venv/dev.stamp  ## the long ones too: hundreds of kills, the built wheel
	@$(PYTEST) $(ARGS)

lint: .venv/dev.stamp  ## style, types, the import contract
	@$(BIN)/ruff format --check --quiet . || { echo "hint: make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@mkdir -p var && { $(BIN)/lint-imports >var/lint-imports.log 2>&1 || { cat var/lint-imports.log; exit 1; }; }
	@$(BIN)/basedpyright

fix: .venv/dev.stamp  ## mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/dev.stamp  ## times, memory and the ratio to the physical floor
	@$(BIN)/python -m bench $(ARGS)

lock: .venv/uv.stamp  ## resolve all dependencies anew into requirements/*.txt
	$(LOCK) $(UPGRADE) requirements/uv.in -o requirements/uv.txt
	$(LOCK) $(UPGRADE) requirements/data.in --no-deps -o requirements/data.txt
	$(LOCK) $(UPGRADE) pyproject.toml --all-extras --group build --group test --group lint -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra s3 --extra postgres --group build -c requirements/dev.txt -o requirements/run.txt

clean:
	rm -rf .venv var dist

# --- set-up: stamps say that a lock file's content is installed -------------------------------------------------------

.venv/uv.stamp: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none is on the PATH"; exit 1; }
	@echo "setting up .venv with $(PYTHON)"
	@mkdir -p var
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

.venv/run.stamp: .venv/uv.stamp requirements/run.txt requirements/data.txt pyproject.toml
	@echo "installing the locked dependencies"
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --require-hashes --no-build-isolation -r requirements/data.txt
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@echo "installing the locked tools for tests and checks"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
