# Two commands do everything: `make run` and `make test`. Both set up the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup run test lint serve benchmark clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,lint]'
	touch $@

run: $(READY)
	@release=$$($(BIN)/sdrm demo | tail -n 1) && [ -n "$$release" ] && \
	printf '\nrelease  %s\nreport   %s/report.html\n' "$$release" "$$release"

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(READY)
	$(BIN)/sdrm serve deployments/demo.yaml

benchmark: $(READY)
	$(BIN)/python -m pytest tests/benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build ./*.egg-info
