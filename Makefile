# Everything runs from here; `make test` and `make demo` need nothing but git, make, Python 3.11+ and Go 1.26+.
.PHONY: setup check unit test torture bench demo up clean distclean
.NOTPARALLEL:

PYTHON := .venv/bin/python
# Each run of a flow is a process: without compiled modules every one of them compiles all of Prefect anew.
unexport PYTHONDONTWRITEBYTECODE
ARGS ?=

setup:
	infra/bootstrap

check: .venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m pytest -q tests/unit

test: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m pytest -n 4 --dist loadscope --no-loadscope-reorder -m "not torture" --durations=15

torture: setup
	RIPCORD_TORTURE=1 $(PYTHON) -m pytest -m torture $(or $(ARGS),tests)

bench: setup
	$(PYTHON) -m infra.bench $(ARGS)

demo: setup
	.venv/bin/ripcord demo $(ARGS)

up: .venv
	.venv/bin/ripcord up

.venv: pyproject.toml uv.lock
	infra/bootstrap --without-lab
	@touch .venv

# What is built from Go stays in the cache, keyed by its sources; distclean takes that too.
clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf "$${RIPCORD_CACHE:-$$HOME/.cache/ripcord}"
