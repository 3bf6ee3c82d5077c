#!/bin/bash
# On the head of the cluster: run the sweep of params.yaml, or resume it.
set -euo pipefail
cd ~/laspa
export RAY_ADDRESS=127.0.0.1:6379
exec python -m pipelines.tune
