# Two commands do everything: `make demo` and `make test`.
# For the small CPU build of torch, see "Install" in README.md.
PYTHON ?= python3
VENV   ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN    := $(VENV)/bin
VENV_ANOMALIB ?= .venv-anomalib
DATA   ?= ../shared/data

.PHONY: demo test test-slow test-anomalib lint benchmarks constraints clean

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

# In an environment of its own: the library brings Lightning, OpenCV and pins of its own.
test-anomalib: $(VENV_ANOMALIB)/.installed
	$(VENV_ANOMALIB)/bin/python -m pytest -m anomalib

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmarks: $(VENV)/.installed-test
	$(BIN)/inctrl evaluate --data $(DATA) --shots 1 2 4 8 --seeds 5
	$(BIN)/python -m benchmarks.calibration $(DATA)
	$(BIN)/python -m benchmarks.compare $(DATA)
	$(BIN)/python -m benchmarks.coreset
	$(BIN)/python -m benchmarks.padim
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

$(VENV_ANOMALIB)/.installed: pyproject.toml constraints.txt constraints-anomalib.txt
	$(PYTHON) -m venv $(VENV_ANOMALIB)
	$(VENV_ANOMALIB)/bin/python -m pip install --quiet --upgrade pip
	$(VENV_ANOMALIB)/bin/python -m pip install --quiet -c constraints-anomalib.txt -e '.[test,anomalib]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV_ANOMALIB) runs
