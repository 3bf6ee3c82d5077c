"""params.yaml as typed models: its sections, loading, changing, and errors that say what would be right.

May import: laspa.errors, laspa.files, laspa.redaction.
"""

from laspa.params.corpora import CommonVoice, Download, Synthetic, SyntheticOther, VoxCeleb
from laspa.params.data import Augment, Features, Label, Manifest, Trials
from laspa.params.evaluation import Evaluate
from laspa.params.loading import SYSTEM_KEYS, CombinationError, Params, load_params, with_overrides
from laspa.params.system import LossWeights, Model, System
from laspa.params.training import Train
from laspa.params.tune import Tune

__all__ = [
    "SYSTEM_KEYS",
    "Augment",
    "CombinationError",
    "CommonVoice",
    "Download",
    "Evaluate",
    "Features",
    "Label",
    "LossWeights",
    "Manifest",
    "Model",
    "Params",
    "Synthetic",
    "SyntheticOther",
    "System",
    "Train",
    "Trials",
    "Tune",
    "VoxCeleb",
    "load_params",
    "with_overrides",
]
