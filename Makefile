# Two commands do everything: `make demo` and `make test`.
# For the small CPU build of torch, see "Install" in README.md.
PYTHON ?= python3
VENV   ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN    := $(VENV)/bin
VENV_ANOMALIB ?= .venv-anomalib
DATA   ?= ../shared/data

.PHONY: demo test test-slow test-anomalib test-browser openapi lint benchmarks constraints clean

demo: $(VENV)/.installed
	@for item in brick gravel; do \
	  echo; echo "$$item:"; \
	  $(BIN)/inctrl detect demos/images/$$item/query --normal demos/images/$$item/normal \
	    --item $$item --out runs/demo/$$item --overwrite || exit $$?; \
	done

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n auto -m "not slow and not browser"

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "slow and not browser"

# The page in a real browser. Chromium and its driver are the system's, not pip's.
test-browser: $(VENV)/.installed-test
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  echo "chromium and chromedriver are missing; on Debian: apt-get install chromium chromium-driver"; \
	  exit 1; }
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e '.[test,browser]'
	$(BIN)/python -m pytest -m browser

# After a change of the REST API; a test compares the file with the routes.
openapi: $(VENV)/.installed-test
	$(BIN)/python -m inctrl.service.openapi > docs/openapi.json

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
	$(BIN)/python -m benchmarks.query_notes $(DATA)
	$(BIN)/python -m benchmarks.one_shot $(DATA)
	$(BIN)/python -m benchmarks.orientation $(DATA)
	$(BIN)/python -m benchmarks.tiles $(DATA)
	$(BIN)/python -m benchmarks.neighbours $(DATA)
	$(BIN)/python -m benchmarks.layers $(DATA)
	$(BIN)/python -m benchmarks.variants
	$(BIN)/python -m benchmarks.compare $(DATA)
	$(BIN)/python -m benchmarks.coreset
	$(BIN)/python -m benchmarks.padim
	$(BIN)/python -m benchmarks.query_cost
	$(BIN)/python -m benchmarks.cold_start
	$(BIN)/python -m benchmarks.service_cost
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.draining
	$(BIN)/python -m benchmarks.slow_clients
	$(BIN)/python -m benchmarks.durability
	$(BIN)/python -m benchmarks.mutants

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
