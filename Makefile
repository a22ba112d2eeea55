# Every target sets up what it needs. VENV may name another virtual environment.

VENV ?= .venv
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3)
REQUIREMENTS = requirements.txt requirements-numerics.txt constraints.txt
# uv where it is there, pip else. The versions are pinned, so they are the same.
UV = $(shell command -v uv)
ifeq ($(UV),)
MAKE_VENV = $(PYTHON) -m venv $(VENV)
PIP_INSTALL = $(VENV)/bin/pip install --quiet --disable-pip-version-check
else
MAKE_VENV = $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
PIP_INSTALL = $(UV) pip install --quiet --python $(VENV)/bin/python
endif
RUN = PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: help install install-pretrain repro pretrain practice web app test lint benchmark

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp holds the requirements that were installed, so that a new checkout of the same ones installs nothing.
install: ## create the virtual environment and install the pinned requirements into it
	@if ! cat $(REQUIREMENTS) | cmp -s - $(VENV)/installed.txt; then \
		echo "Installing the requirements into $(VENV) (torch is several GB: some minutes)" && \
		$(MAKE_VENV) && \
		$(PIP_INSTALL) -r requirements.txt && \
		$(PIP_INSTALL) --no-deps --editable . && \
		cat $(REQUIREMENTS) > $(VENV)/installed.txt; \
	fi

repro: install ## run the pipeline, or what of it is out of date (the embedded sample: some minutes)
	$(RUN) dvc repro

install-pretrain: install ## also install what only the pre-training needs
	@if ! cmp -s pretraining/requirements.txt $(VENV)/pretrain.txt; then \
		$(PIP_INSTALL) -r pretraining/requirements.txt && \
		cp pretraining/requirements.txt $(VENV)/pretrain.txt; \
	fi

pretrain: install-pretrain ## make the trunk from unlabelled speech and a teacher (docs/pretraining.md)
	cd pretraining && $(RUN) dvc repro

practice: install ## score the recordings in data/practice with the trained model
	$(RUN) dvc repro --single-item practice

# The page is built again when the model or a source of it has changed.
WEB_MODEL = web/model/ear.json
WEB_PAGE = web/dist/sw.js
WEB_SOURCES = $(shell find web/src web/static -type f) web/index.html web/build.mjs

web: $(WEB_PAGE) ## build the learner's page into web/dist, for any static host (needs Node.js 18 or newer)

$(WEB_MODEL): models/accent.json models/reference.json models/bank.json metrics/evaluation.json $(wildcard accent/page/*.py) | install
	$(RUN) python -m accent.page.export models metrics/evaluation.json $(@D)

web/node_modules/.package-lock.json: web/package-lock.json
	@command -v npm > /dev/null || { echo "error: no npm on this machine, which the page is built with. Install Node.js 18 or newer" >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund

$(WEB_PAGE): $(WEB_MODEL) web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && node build.mjs

app: web ## build the learner's page if need be, and serve it at http://127.0.0.1:7860
	$(RUN) python -m accent app

lint: install ## check style and format with ruff
	$(RUN) ruff check .
	$(RUN) ruff format --check .

# Three layers, so that most mistakes are told within a minute or two.
test: install-pretrain lint ## check style, then run the fast tests, then the others
	$(RUN) python -m pytest -m "not slow and not browser and not cluster"
	$(RUN) python -m pytest -m "slow or browser or cluster"

benchmark: install ## measure the speed claims of the README (installs the peers that it compares with)
	$(PIP_INSTALL) -r benchmarks/requirements.txt
	$(RUN) python -m benchmarks.audio
	$(RUN) python -m benchmarks.training
	$(RUN) python -m benchmarks.score
	$(MAKE) web
	$(RUN) python -m benchmarks.page
