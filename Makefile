# Two commands do everything: `make demo` and `make test`.
# For the small CPU build of torch, see "Install" in README.md.
PYTHON ?= python3
VENV   ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN    := $(VENV)/bin
DATA   ?= ../shared/data

.PHONY: demo test test-slow lint benchmarks constraints clean

demo: $(VENV)/.installed
	@for item in brick gravel; do \
	  echo; echo "$$item:"; \
	  $(BIN)/inctrl detect demos/images/$$item/query --normal demos/images/$$item/normal \
	    --item $$item --out runs/demo/$$item --overwrite || exit $$?; \
	done

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmarks: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.few_shot $(DATA)
	$(BIN)/python -m benchmarks.calibration $(DATA)
	$(BIN)/python -m benchmarks.query_cost
	$(BIN)/python -m benchmarks.cold_start

# Records the versions installed now; run it after an upgrade whose tests pass.
constraints: $(VENV)/.installed-test
	$(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(nvidia|cuda|triton|inctrl)' > constraints.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e '.[test]'
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) runs
