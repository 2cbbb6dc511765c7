# What a developer types. `make demo` and `make test` set up everything they need on a machine with python3, git, make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo year unit test lint bench readme records platforms constraints clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

setup: .venv/.complete .tools/.complete ## Install what the development needs

.venv/.complete: constraints.txt pyproject.toml .ci/setup
	.ci/setup environment
	@touch $@

.tools/.complete: .venv/.complete
	.ci/setup runners
	@touch $@

demo: .venv/.complete ## Run the pipeline on the example project, three months of real flights
	python example-project/demo.py

year: .venv/.complete ## Live through a year of flights: drift, retraining, refusals, and what came of them
	python example-project/year.py

unit: .venv/.complete ## Run the unit tests: no engine, no runner, no network
	python -m pytest tests/unit -m "not slow" -q

test: setup ## Run all tests
	.ci/setup engine || [ "$$MODEL_CI_REQUIRE_ALL" != 1 ]
	python -m pytest -n 4 --dist worksteal --cpu=40  # four workers: many tests wait for containers and runners

lint: setup ## Check the code, the shell scripts, the workflows, the templates and the schemas
	ruff check
	ruff format --check
	mypy
	shellcheck scripts/*.sh .ci/run .ci/setup
	jactionlint
	zizmor --quiet --offline --strict-collection --persona=auditor .github actions example-project
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml example-project/.github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-actions actions/*/action.yml
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml example-project/.gitlab-ci.yml
	check-jsonschema --check-metaschema schemas/*.json
	python -m tests.ci.lint_templates gitlab/*.gitlab-ci.yml templates/*.yml
	python -m platforms --check
	cog --check -P -I scripts README.md docs/options.md

bench: .venv/.complete ## Measure against a bare script and against libraries called by hand, side by side
	python benchmarks/pipeline.py
	python benchmarks/check_data.py
	python benchmarks/bootstrap.py
	python benchmarks/explain.py
	python benchmarks/serving.py
	python benchmarks/image.py

readme: .venv/.complete ## Fill the generated parts of the README, the docs and the schemas
	python scripts/conditions_schema.py
	cog -r -P -I scripts README.md docs/options.md

records: .venv/.complete ## Write the types of a run's record from its schema
	python scripts/typed_records.py

platforms: .venv/.complete ## Write actions/, gitlab/ and templates/ from platforms/
	python -m platforms

constraints: .venv/.complete ## Pin what pyproject.toml asks for, for all platforms, by hash
	uv pip compile pyproject.toml --quiet --universal --extra all --extra s3 --extra dask --extra drift-report --group dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints" -o constraints.txt >/dev/null

clean: ## Remove everything that was installed or made
	rm -rf .venv .tools .model-ci demo dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
