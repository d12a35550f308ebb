# make demo   install into a fresh environment and analyse the ECG that ships with the package
# make test   everything that CI checks
# make fast   the tests that take seconds and need no real data
# make lint   style, types, import contracts
# make clean  remove environments, caches and outputs

PYTHON ?= python3
WORKERS ?= 2

# Also holds for the build of the package itself, which pip does in an environment of its own.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# One thread per process: the tests run in several.
test fast: export OMP_NUM_THREADS := 1

PYTEST := .venv/bin/pytest -q --hypothesis-profile=ci -n $(WORKERS)
SOURCES := $(shell find src -type f -not -name '*.pyc')

.PHONY: demo test fast lint clean

demo: .venv-demo/package
	.venv-demo/bin/fascicle demo --out out/demo

test: lint
	$(PYTEST)

fast: .venv/ready
	$(PYTEST) -m "not slow" --ignore=tests/real

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

clean:
	rm -rf .venv .venv-demo out build dist .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -qq -c constraints.txt torch==2.13.0
	.venv/bin/pip install -qq -c constraints.txt -e ".[all,dev]"
	touch $@

.venv-demo/libraries: pyproject.toml constraints.txt
	rm -rf .venv-demo
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install -qq -c constraints.txt torch==2.13.0
	.venv-demo/bin/pip install -qq -c constraints.txt .
	touch $@

.venv-demo/package: .venv-demo/libraries $(SOURCES)
	.venv-demo/bin/pip install -qq --no-deps --force-reinstall .
	touch $@
