"""params.yaml as typed models: its sections, loading, changing, and errors that say what would be right.

May import: laspa.errors, laspa.files, laspa.redaction.
"""

from laspa.params.corpora import Download
from laspa.params.data import Features
from laspa.params.evaluation import Evaluate
from laspa.params.loading import SYSTEM_KEYS, CombinationError, Params, load_params, with_overrides
from laspa.params.system import System
from laspa.params.training import Train
from laspa.params.tune import Tune

__all__ = [
    "SYSTEM_KEYS",
    "CombinationError",
    "Download",
    "Evaluate",
    "Features",
    "Params",
    "System",
    "Train",
    "Tune",
    "load_params",
    "with_overrides",
]
