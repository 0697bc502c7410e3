# Two commands do everything: `make run` and `make test`. Both set up the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: setup run test lint serve benchmark clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(DEV_READY): $(READY)
	$(INSTALL) '.[test,lint]'
	touch $@

setup: $(READY)

run: $(READY)
	@release=$$($(BIN)/sdrm demo | tail -n 1) && [ -n "$$release" ] && \
	printf '\nrelease  %s\nreport   %s/report.html\n' "$$release" "$$release"

test: $(DEV_READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(READY)
	$(BIN)/sdrm serve deployments/demo.yaml

# Needs the real data sets beside the repository, and a quarter of an hour.
benchmark: $(DEV_READY)
	$(BIN)/python -m tests.benchmarks.similarity_speed --data ../shared/data
	$(BIN)/python -m tests.benchmarks.privacy_power --data ../shared/data --draws 20

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build ./*.egg-info
