# The README's commands. Each target is thin: what it does lives in the command line and in infra/.
.PHONY: install demo test test-slow lint docs format constraints clean

BIN := .venv/bin

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt infra/install.sh
	@sh infra/install.sh

demo: install
	@$(BIN)/cropline demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy docs/examples/mowing/src
	$(BIN)/lint-imports

# Strictly: a link that leads nowhere, or a page that is in no menu, ends it.
docs: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# A file's tests stay in one process: they share what is slow to make. Files come in the order that tests/conftest.py gives.
# One thread a process: where two processes of two threads share two cores, threads wait for each other most of the time.
test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 5

test-slow: install
	$(BIN)/pytest -m slow

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Renews constraints.txt with the newest versions that pyproject.toml admits; run the tests before committing it.
constraints:
	@sh infra/constraints.sh

clean:
	rm -rf .venv .cropline demo
