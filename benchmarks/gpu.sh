#!/usr/bin/env bash
# What one GPU gives, in under ten minutes, on a machine that has torch: steps, training, two runs that share
# the card, every backbone. `benchmarks/gpu.sh [--device cpu --steps 2] [--output gpu.json]`
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
python3 -c 'import pydantic, ruamel.yaml, soundfile, soxr, babel, espeakng_loader' 2>/dev/null ||
  python3 -m pip install --quiet babel espeakng-loader langcodes pydantic pyyaml ruamel.yaml soundfile soxr
python3 -c 'import speechbrain' 2>/dev/null || python3 -m pip install --quiet --no-deps speechbrain hyperpyyaml ||
  echo "SpeechBrain cannot be installed: its rows are left out"
exec python3 benchmarks/gpu.py "$@"
