# Phi Playground: each target sets up what it needs. `make help` lists them.

HOST   = 127.0.0.1
PORT   = 7860
PYTHON = python3
SPACE  = build/space
KIND   = zerogpu
OWNER  =
VENV   = .venv
PY     = $(VENV)/bin/python

# A stamp carries the checksum of what was installed and is written last: an install
# that broke off is taken up again, one that stands is left alone. A new NVIDIA driver counts.
checksum   = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
nvidia     = $(if $(wildcard /proc/driver/nvidia /usr/lib/wsl/lib/nvidia-smi),-nvidia)
LIGHT      = requirements-light.txt
FULL       = $(LIGHT) requirements.txt
TESTS      = $(FULL) tests/requirements.txt tests/requirements-alone.txt
PAGE_READY = $(VENV)/page-$(call checksum,$(LIGHT) tools/install.py)
FULL_READY = $(VENV)/full-$(call checksum,$(FULL) tools/install.py)$(nvidia)
TEST_READY = $(VENV)/test-$(call checksum,$(TESTS))

# Packages beside all the others, in folders of their own, so that all else is tested without them:
# engines that nobody needs, and what --mcp wants, which is older than what the page has.
ENGINES       = build/engines
ENGINE_PINS   = tests/requirements-engines.txt
ENGINES_READY = $(ENGINES)/ready-$(call checksum,$(ENGINE_PINS))
ENGINE_TESTS  = $(wildcard $(addprefix tests/test_,engines.py gguf.py llama_cpp*.py openvino*.py mlx*.py))
MCP           = build/mcp
MCP_PINS      = tests/requirements-mcp.txt
MCP_READY     = $(MCP)/ready-$(call checksum,$(MCP_PINS))

define install_beside
	@rm -rf $(1) && mkdir -p $(1)
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-compile --no-deps --target $(1) -r $(2)
	@touch $@
endef

.PHONY: help run full dev test test-quick test-engines test-mcp test-servers lint bench space

help: ## say what can be made
	@echo 'make TARGET, for example: make run PORT=8000 HOST=0.0.0.0'
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

# Where everything was installed once, everything is kept up to date.
run: $(if $(wildcard $(VENV)/full-*),$(FULL_READY),$(PAGE_READY)) ## start the page on this machine
	@$(PY) app.py --host $(HOST) --port $(PORT) $(ARGS)

full: $(FULL_READY) ## install PyTorch too: Transformers, for Phi-3-vision and Phi-3.5-MoE
	@test -e $(FULL_READY) && echo 'Everything that runs on this machine is here. Start the page: make run'

dev: $(TEST_READY) ## start the page, and anew whenever one of its files changes
	@$(PY) -m watchfiles --filter default --sigint-timeout 5 \
	  '$(PY) app.py --no-browser --host $(HOST) --port $(PORT) $(ARGS)' app.py backends playground ui

test: $(TEST_READY) ## run all tests, in a real browser too
	@$(PY) -m tests.browser
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-quick: $(TEST_READY) ## run the tests that need no browser and no PyTorch, in a minute
	$(PY) -m pytest -n auto -m 'not live and not browser and not engine' $(ARGS)

test-engines: $(TEST_READY) $(ENGINES_READY) ## run the tests of engines that the page can do without
	PYTHONPATH='$(CURDIR)/$(ENGINES)' $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ENGINE_TESTS) $(ARGS)

test-mcp: $(TEST_READY) $(MCP_READY) ## run the tests of --mcp, on the older packages that it wants
	PYTHONPATH='$(CURDIR)/$(MCP)' $(PY) -m pytest tests/test_mcp.py $(ARGS)

test-servers: $(TEST_READY) $(ENGINES_READY) ## drive real servers: vLLM, llama.cpp, Ray Serve … (an hour the first time, 3 GB)
	@$(PY) -m tests.browser
	PYTHONPATH='$(CURDIR)/$(ENGINES)' $(PY) -m tests.servers $(ARGS)

lint: $(TEST_READY) ## check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright
	$(PY) -m ui.texts

bench: $(TEST_READY) ## measure again what the README claims
	@$(PY) -m tests.browser
	@for file in $$(grep -l __main__ benchmarks/*.py); do \
	  name=$$(basename $$file .py); echo "== $$name"; $(PY) -m benchmarks.$$name || exit 1; \
	done

space: ## assemble a Hugging Face Space in build/space: KIND=zerogpu (the usual one), cpu or gpu; OWNER=your name
	@test -e 'spaces/$(KIND).yaml' || { echo 'KIND is zerogpu, cpu or gpu, not $(KIND)'; exit 1; }
	@rm -rf '$(SPACE)' && mkdir -p '$(SPACE)'
	@cp -R app.py LICENSE backends playground recordings ui '$(SPACE)'
	@find '$(SPACE)' -name __pycache__ -prune -exec rm -rf {} +
	@cat spaces/common.txt 'spaces/$(KIND).txt' >'$(SPACE)/requirements.txt'
	@{ echo ---; cat spaces/common.yaml 'spaces/$(KIND).yaml'; \
	  test -z '$(OWNER)' || echo 'thumbnail: https://huggingface.co/spaces/$(OWNER)/phi-playground/resolve/main/ui/assets/screenshot.png'; \
	  echo ---; echo; cat 'spaces/$(KIND).md' spaces/common.md; } >'$(SPACE)/README.md'
	@echo '$(SPACE) is ready: hf upload $(or $(OWNER),YOUR_NAME)/phi-playground $(SPACE) . --repo-type space'

# -- what the targets stand on ------------------------------------------------------------

$(PY):
	@for python in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	  "$$python" -m venv --clear $(VENV) && exit 0; \
	  rm -rf $(VENV); \
	  echo "This Python cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv"; \
	  exit 1; \
	done; \
	echo 'Phi Playground needs Python 3.11, 3.12 or 3.13. Install one, or name it: make run PYTHON=/path/to/python3.12'; \
	exit 1

$(PAGE_READY): $(PY)
	@rm -f $(VENV)/page-*
	@$(PY) tools/install.py light $@

$(FULL_READY): $(PAGE_READY)
	@for stamp in $(VENV)/full-[0-9]*; do test ! -e $$stamp || mv $$stamp $(VENV)/full-before; done
	@$(PY) tools/install.py full $@
	@test ! -e $@ || rm -f $(VENV)/full-before

$(ENGINES_READY): $(TEST_READY)
	$(call install_beside,$(ENGINES),$(ENGINE_PINS))

$(MCP_READY): $(TEST_READY)
	$(call install_beside,$(MCP),$(MCP_PINS))

$(TEST_READY): $(FULL_READY)
	@rm -f $(VENV)/test-*
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-compile --no-warn-conflicts \
	  -r tests/requirements.txt -c requirements-light.txt
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-compile --no-deps \
	  -r tests/requirements-alone.txt
	@touch $@
