# Every target sets up what it needs. VENV may name another virtual environment.

VENV ?= .venv
PYTHON ?= python3.11
REQUIREMENTS = requirements.txt requirements-numerics.txt constraints.txt
RUN = PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: help install install-pretrain repro pretrain practice web app test lint benchmark

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp holds the requirements that were installed, so that a new checkout of the same ones installs nothing.
install: ## create the virtual environment and install the pinned requirements into it
	@if ! cat $(REQUIREMENTS) | cmp -s - $(VENV)/installed.txt; then \
		echo "Installing the requirements into $(VENV) (torch is several GB: some minutes)" && \
		$(PYTHON) -m venv $(VENV) && \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt && \
		cat $(REQUIREMENTS) > $(VENV)/installed.txt; \
	fi

repro: install ## run the pipeline, or what of it is out of date (the embedded sample: some minutes)
	$(RUN) dvc repro

install-pretrain: install ## also install what only the pre-training needs
	@if ! cmp -s pretraining/requirements.txt $(VENV)/pretrain.txt; then \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check -r pretraining/requirements.txt && \
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
	$(RUN) python -m accent.page.serve

lint: install ## check style and format with ruff
	$(RUN) ruff check .
	$(RUN) ruff format --check .

test: install-pretrain lint ## check style, then run all tests
	$(RUN) python -m pytest

benchmark: install ## measure the speed claims of the README (installs the peers that it compares with)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(RUN) python -m benchmarks.audio
	$(RUN) python -m benchmarks.training
	$(RUN) python -m benchmarks.score
	$(MAKE) web
	$(RUN) python -m benchmarks.page
