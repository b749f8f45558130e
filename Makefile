# Everything that people and CI run. Each target sets itself up with venv and pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# Two processes more than processors, since much of a suite about limits waits for them.
PYTEST := $(BIN)/python -m pytest -n $$(($$(nproc) + 2)) --maxprocesses 9 --dist loadfile --no-loadscope-reorder --durations=20
# What takes long, by the marks of pyproject.toml, which say why each is left out of `make test`.
GROUPS := attacks or cluster or e2e or gpu or levels or published or toolchains or train

# Names of the browser that the tests of pages drive, and how long apt-get waits for a mirror.
BROWSERS := chromium chromium-browser google-chrome
APT := -o Acquire::Retries=2 -o Acquire::http::Timeout=30

.PHONY: run test test-all check docs screenshots browser fix bench bench-orchestration bench-grading bench-languages bench-attacks bench-cleaning toolchains image ds1000 libraries ray trackers clean help

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# What evolving with a model on this machine needs: no torch, and a tenth of the packages of `dev`.
$(CORE): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[local]'
	@$(BIN)/python -m pip uninstall --quiet --yes setuptools # some venvs bring it; nothing here needs it
	@touch $@

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # as pip does, which compiles on one core
	@touch $(CORE) $@

run: $(CORE) ## a demonstration: a small model evolves 8 bundled seeds here; MODEL=qwen2.5-coder-1.5b for a better one
	@echo "make run is a demonstration$(if $(MODEL),, by a 0.5B model; make run MODEL=qwen2.5-coder-1.5b takes a better one)"
	$(BIN)/evolcoder run --limit 8 $(if $(MODEL),--model '$(MODEL)') --out 'runs/first$(if $(MODEL),-$(notdir $(MODEL)))'

test: $(READY) ## run the tests that take no longer than minutes all together
	@$(BIN)/python -m compileall -qq src # once, where PYTHONDONTWRITEBYTECODE would have every process do it
	$(PYTEST) -m 'not ($(GROUPS))'

test-all: test $(VENV)/.ray $(VENV)/.trackers browser ## run all tests: those of `make test`, then the long ones
	$(PYTEST) -m '$(GROUPS)'

check: $(READY) ## lint, format, types, layers, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_public_names.py
	$(BIN)/python docs/reference.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs: $(READY) ## write the reference pages from the code, and build the site into site/
	$(BIN)/python docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

screenshots: browser ## take pictures of report, viewer and documentation; RUNS=FOLDER for runs of your own, KEEP=1 for docs/images
	$(BIN)/python docs/screenshots.py $(if $(RUNS),--runs '$(RUNS)') $(if $(KEEP),--keep)

# A machine that cannot have Chromium skips the tests of pages by name; all others run.
browser: $(VENV)/.browser ## install what the tests of pages need: Playwright (165 MB), and Chromium by apt-get as root
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update --quiet $(APT) && apt-get install --yes --quiet --no-install-recommends $(APT) chromium && exit 0; \
	fi; \
	echo "make browser: no Chromium here, so tests of pages are skipped; to run them: apt-get install chromium, as root" >&2

$(VENV)/.browser: $(READY)
	$(PIP) -e '.[browser]'
	@touch $@

fix: $(READY) ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-orchestration bench-grading bench-languages bench-cleaning ## compare evolcoder with other tools; makes their venvs under .bench

bench-orchestration: $(READY) ## requests per second
	$(BIN)/python benchmarks/orchestration.py

bench-grading: $(READY) ## programs graded per second
	$(BIN)/python benchmarks/grading.py

bench-languages: $(READY) ## programs in other languages, sealed and by calls
	$(BIN)/python benchmarks/languages.py

bench-attacks: $(READY) ## run all attacks as root and as a user, and write their table into docs/attacks.md
	$(BIN)/python benchmarks/attack_table.py --write

bench-cleaning: $(READY) ## near duplicates compared with other tools, and up to a million rows
	$(BIN)/python benchmarks/cleaning.py

toolchains: ## install every language's tools that Debian or npm bring (apt-get, as root or by sudo)
	PYTHONPATH=src $(PYTHON) -m evolcoder.cli.toolchains

image: ## build the image with docker, podman or buildah, whichever is here
	@builder=$$(command -v docker || command -v podman || command -v buildah) || \
		{ echo "make image: there is no docker, podman or buildah" >&2; exit 1; }; \
	$$builder build $(IMAGE_FLAGS) --file docker/Dockerfile --tag evolcoder .

ds1000: .ds1000/.ready ## install the libraries that DS-1000's harnesses import (2.7 GB)

.ds1000/.ready: src/evolcoder/data/ds1000-requirements.txt
	rm -rf .ds1000
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --target .ds1000 -r $<
	@touch $@

libraries: .libraries/.ready ## install the libraries that programs of BigCodeBench and of samples import (1 GB)

.libraries/.ready: src/evolcoder/data/libraries-requirements.txt
	rm -rf .libraries
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --target .libraries -r $<
	$(PYTHON) -m compileall -qq .libraries || true
	@touch $@

ray: $(VENV)/.ray ## install Ray, for the tests and the use of a cluster (80 MB)

$(VENV)/.ray: $(READY)
	$(PIP) -e '.[ray]'
	@touch $@

trackers: $(VENV)/.trackers ## install TensorBoard, Weights & Biases and bitsandbytes, for training (200 MB)

$(VENV)/.trackers: $(READY)
	$(PIP) -e '.[trackers,qlora]'
	@touch $@

clean: ## remove what the other targets made here
	rm -rf $(VENV) site .bench .ds1000 .libraries .mypy_cache .ruff_cache .pytest_cache
