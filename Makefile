# forestall: `make help` lists what there is. Python 3.11 to 3.14, git and make are all that a machine has to have.

VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
CODE := operator tests examples scripts $(wildcard benchmarks)
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Whatever the environment says, what is compiled is kept: without it each start of the operator takes a second longer.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make the virtual environment (PYTHON=... chooses the Python)
	@PYTHON="$(PYTHON)" scripts/bootstrap.sh

.PHONY: programs
programs: setup ## Find or build the programs for PURPOSE=demo, tests, cluster or adapters (minutes, once a machine)
	@$(PY) -m forestall.devcluster programs $(PURPOSE)

.PHONY: demo
demo: setup ## Show the main job on a real control plane (SCENARIO=leak or node; KEEP=1 keeps it; CLUSTER=nodes: real pods)
	@$(if $(filter nodes,$(CLUSTER)),test -f build/shop-image.tar || $(MAKE) --no-print-directory image)
	@$(BIN)/forestall demo $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: test
test: setup lint types ## Run lint, types and all tests
	@$(MAKE) --no-print-directory image
	@$(PY) -m forestall.devcluster programs tests
	@$(PY) -m pytest $(SIDE_BY_SIDE)

# Cluster tests mostly wait, so four keep two processors busy; whole files are given out in their order, quick tiers first.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: setup ## Check style, prose, and that imports point one way
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/lint-imports --no-logo
	@$(PY) scripts/prose.py

.PHONY: format
format: setup ## Format the code, and mend what can be mended without thought
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

.PHONY: types
types: setup ## Check the types
	@$(BIN)/mypy

.PHONY: unit
unit: setup ## Run the unit tests
	@$(PY) -m pytest tests/unit -n logical --dist worksteal

.PHONY: coverage
coverage: setup ## Run the unit tests and fail when they cover less than the floor in pyproject.toml
	@$(PY) -m pytest tests/unit -n logical --dist worksteal --cov --cov-report=term --cov-report=html

.PHONY: fuzz
fuzz: setup ## Try the laws on new random examples, and hand the parsers far more texts than the unit tests do (an hour)
	@FORESTALL_RANDOM=1 $(PY) -m pytest tests/unit -n logical --dist worksteal
	@FORESTALL_FUZZ=100000 $(PY) -m pytest tests/unit/test_fuzz.py

.PHONY: mutants
mutants: setup ## Say which small faults in the engine no unit test notices (SAMPLE=60 by chance, ONLY=engine/cycle)
	@$(PY) scripts/mutants.py $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(ONLY),--only $(ONLY))

.PHONY: adapters
adapters: setup ## Run the tests of the adapters, against a real Prometheus
	@$(PY) -m forestall.devcluster programs adapters
	@$(PY) -m pytest tests/adapters

.PHONY: cluster
cluster: setup ## Run the tests on the real control plane
	@$(PY) -m forestall.devcluster programs tests
	@$(PY) -m pytest tests/cluster

.PHONY: nodes
nodes: setup ## Run the tests on real nodes with real pods, the long ones too (needs root on Linux)
	@FORESTALL_LONG=1 $(PY) -m pytest tests/nodes

# Where nothing on this machine can make them, it says so, and the tests of the images are skipped; STRICT=1 fails then.
.PHONY: image
image: setup ## Make the images build/forestall-image.tar and build/shop-image.tar (ARCHS="amd64 arm64", NAME=..., SOURCE=...)
	@$(PY) -m pip --disable-pip-version-check install --quiet --require-hashes -r constraints/image.txt
	@$(PY) -m scripts.image $(ARCHS:%=--arch %) $(if $(NAME),--name $(NAME)) $(if $(SOURCE),--source $(SOURCE)) \
		|| { code=$$?; test $$code = 3 -a -z "$(STRICT)" || exit $$code; }

.PHONY: version
version: ## Say which version this is
	@sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/forestall/__init__.py

HELM ?= helm

.PHONY: chart
chart: ## Package the chart into build/chart (HELM=... where helm is not on the PATH)
	@$(HELM) package charts/forestall --destination build/chart

.PHONY: e2e
e2e: setup ## Run the tests with the image and real pods (FORESTALL_CLUSTER=kind, where Docker runs)
	@$(PY) -m pytest tests/e2e

.PHONY: dev-cluster
dev-cluster: setup ## Start a cluster to work with, and leave it running (NODES=2; FORESTALL_CLUSTER=nodes for real pods)
	@$(PY) -m forestall.devcluster cluster $(if $(NODES),--nodes $(NODES))

# Each module in benchmarks/ that can be run measures something and writes JSON.
BENCHMARKS := $(patsubst benchmarks/%,%,$(patsubst %/__main__,%,$(basename $(wildcard benchmarks/*.py benchmarks/*/__main__.py))))

.PHONY: bench
bench: $(addprefix bench-,$(filter-out __init__,$(BENCHMARKS))) ## Measure the figures of benchmarks/ (bench-NAME: one of them)

bench-%: setup
	@$(PY) -m benchmarks.$*

.PHONY: docs
docs: setup ## Build the documentation site into build/site; a link that leads nowhere fails
	@$(PY) -m pip --disable-pip-version-check install --quiet --require-hashes -r constraints/docs.txt
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: workflows
workflows: ## Check the workflows in .github with actionlint (needs Go)
	@go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: pictures
pictures: setup ## Draw the pictures of the documentation that are made from examples
	@$(BIN)/forestall simulate --traffic examples/simulate/traffic.csv --capacity 20 --start-up 3m --last 1d --autoscaler HPA \
		--svg docs/images/simulate.svg

.PHONY: crds
crds: setup ## Write the CRDs from the models, into crds/ and the chart
	@$(PY) -m forestall.api.crd --write

.PHONY: lock
lock: setup ## Pin the packages anew, with hashes and without download addresses
	@$(PY) -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade $(LOCK) --extra dev --output-file constraints/dev.txt
	@$(BIN)/uv pip compile --quiet --upgrade $(LOCK) --constraints constraints/dev.txt --output-file constraints/runtime.txt
	@$(BIN)/uv pip compile --quiet --upgrade $(LOCK) --constraints constraints/dev.txt --extra docs --output-file constraints/docs.txt
	@$(BIN)/uv pip compile --quiet --upgrade $(patsubst pyproject.toml,constraints/image.in,$(LOCK)) --constraints constraints/dev.txt \
		--output-file constraints/image.txt

LOCK := pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

.PHONY: changelog
changelog: setup ## Show what the changelog would say of the next release
	@$(BIN)/towncrier build --draft

.PHONY: clean
clean: ## Remove what the tools made in this folder; the programs stay in the user's cache
	@rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
