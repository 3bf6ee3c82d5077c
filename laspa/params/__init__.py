"""params.yaml as typed models: its sections, loading, changing, and errors that say what would be right.

May import: laspa.errors, laspa.files.
"""

from laspa.params.corpora import CommonVoice, Download, Folder, OnDisk, Synthetic, VoxCeleb
from laspa.params.data import Augment, Features, Label, Manifest, Trials
from laspa.params.evaluation import Ablate, Evaluate, Study, Variant
from laspa.params.loading import CombinationError, Params, load_params, with_overrides
from laspa.params.system import LossWeights, Model, System
from laspa.params.training import Train
from laspa.params.tune import Tune

__all__ = [
    "Ablate",
    "Augment",
    "CombinationError",
    "CommonVoice",
    "Download",
    "Evaluate",
    "Features",
    "Folder",
    "Label",
    "LossWeights",
    "Manifest",
    "Model",
    "OnDisk",
    "Params",
    "Study",
    "Synthetic",
    "System",
    "Train",
    "Trials",
    "Tune",
    "Variant",
    "VoxCeleb",
    "load_params",
    "with_overrides",
]
