# `make run` and `make test` each do all of their own set-up. They need python3, python3-venv
# and make; nothing else has to be installed or running.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin/python
FLASK := $(BIN) -m flask --app app
LOCALES := nb nn en
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard translations/*/LC_MESSAGES/messages.po))
TEMPLATES := $(wildcard templates)

.DELETE_ON_ERROR:
.PHONY: run test lint translations promises bench clean help

help:
	@echo "make run           serve the site on http://127.0.0.1:5000 (another port: PORT=8080)"
	@echo "make test          every check and every test, on SQLite and PostgreSQL"
	@echo "make lint          the checks alone"
	@echo "make translations  collect the words of the code into translations/"
	@echo "make promises      each requirement, with the tests that hold it"
	@echo "make bench         measure what must not be asserted; some 20 minutes (ONLY=capture,check"
	@echo "                   ROUNDS=5 TRIES=100 SUBJECTS=50000 ENTRIES=500000 DATABASE=sqlite)"
	@echo "make clean         remove what was made here, but never instance/"

run: export SAMTYKKE_ENV ?= development
run: $(VENV)/.run $(CATALOGUES)
	@$(FLASK) database upgrade
	@$(FLASK) notices publish
	@exec $(FLASK) serve

test: lint $(CATALOGUES)
	@$(BIN) -m tests.support.chromium
	$(BIN) -m pytest -q --numprocesses auto --maxprocesses 8 --dist worksteal $(ARGS)

lint: $(VENV)/.dev
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy
	$(BIN) -m deptry .
	$(if $(TEMPLATES),$(BIN) -m djlint --lint --quiet $(TEMPLATES))

translations: $(VENV)/.dev
	@mkdir -p .cache translations
	@$(BIN) -m babel.messages.frontend --quiet extract --mapping-file babel.cfg \
	    --keywords __ --keywords lazy_gettext --keywords lazy_ngettext:1,2 --sort-output --no-location --width 100 \
	    --project Samtykke --version 1 --copyright-holder "Samtykke contributors" \
	    --header-comment "# The words of Samtykke. Made by: make translations" \
	    --output .cache/messages.pot .
	@for locale in $(LOCALES); do \
	    $(BIN) -m babel.messages.frontend --quiet update --init-missing --no-fuzzy-matching \
	        --ignore-obsolete --ignore-pot-creation-date --width 100 --locale $$locale \
	        --input-file .cache/messages.pot --output-dir translations || exit 1; \
	done
	@$(BIN) tools/fill_english.py translations/en/LC_MESSAGES/messages.po

promises: $(VENV)/.dev
	@$(BIN) -m pytest --collect-only --quiet --quiet -p tools.promises

# On both databases, which it brings up: bench/results.json and bench/results.md.
bench: $(VENV)/.dev $(CATALOGUES)
	@$(BIN) -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(DATABASE),--database $(DATABASE)) \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(TRIES),--tries $(TRIES)) \
	    $(if $(SUBJECTS),--subjects $(SUBJECTS)) $(if $(ENTRIES),--entries $(ENTRIES))

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .hypothesis
	rm -f translations/*/LC_MESSAGES/messages.mo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: requirements.txt tools/environment.py
	@$(PYTHON) tools/environment.py requirements.txt $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PYTHON) tools/environment.py requirements-dev.txt $@

# Written beside and moved, so that a server that starts meanwhile reads a whole one.
translations/%/LC_MESSAGES/messages.mo: translations/%/LC_MESSAGES/messages.po | $(VENV)/.run
	@$(BIN) -m babel.messages.frontend --quiet compile --locale $* --input-file $< \
	    --output-file $@.$$$$ && mv $@.$$$$ $@
