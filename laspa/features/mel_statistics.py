"""Statistics of each utterance's log-mel: what data checks and data cards read instead of the mels."""

import numpy as np
import pandas as pd

from laspa.features.store import FeatureStore

SILENT_STD = 0.05  # nepers: speech has 1 to 3, a constant signal 0 (our choice)


def utterance_statistics(features: FeatureStore) -> pd.DataFrame:
    """One row per utterance.

    Returns:
        utterance_id, num_frames (int32), mean, std, min, max (float64, nepers, of the finite
        values; 0 where there are none), non_finite (share of values that are NaN or infinite)
        and silent (bool: the spectrum hardly moves).
    """
    statistics = [_statistics(features.get(utterance_id)) for utterance_id in features.utterance_ids]
    table = pd.DataFrame(statistics, columns=["mean", "std", "min", "max", "non_finite"], dtype=np.float64)
    table.insert(0, "utterance_id", pd.Series(features.utterance_ids, dtype="str"))
    table.insert(1, "num_frames", features.num_frames.astype(np.int32))
    table["silent"] = table["std"] < SILENT_STD
    return table


def _statistics(mel: np.ndarray) -> tuple[float, ...]:
    values = mel.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values = values[finite]
    if values.size == 0:
        return 0.0, 0.0, 0.0, 0.0, 1.0
    found = values.mean(), values.std(), values.min(), values.max()
    return *map(float, found), 1 - values.size / mel.size
