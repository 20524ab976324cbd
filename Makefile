.PHONY: check test format
check: ; ruff check . && ruff format --check . && mypy && lint-imports && pytest
test: ; pytest
format: ; ruff check --fix . && ruff format .
