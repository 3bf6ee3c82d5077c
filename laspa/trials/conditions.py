"""The four language conditions of a trial list: which trials each takes, its label and its meaning."""

from typing import NamedTuple

import numpy as np


class Condition(NamedTuple):
    """Whether target and non-target trials are within one language; None takes both."""

    label: str
    meaning: str
    target_same: bool | None
    nontarget_same: bool | None

    def mask(self, target: np.ndarray, same_language: np.ndarray) -> np.ndarray:
        """Which trials belong to it: all three (trials,) boolean."""
        wanted = [self.nontarget_same, self.target_same]
        chosen = [np.ones_like(target) if same is None else same_language == same for same in wanted]
        return np.where(target, chosen[True], chosen[False])


# Named target_nontarget; in the order in which they matter.
CONDITIONS = {
    "cross_same": Condition("cross / same", "same speaker across languages, others within one", False, True),
    "same_same": Condition("same / same", "everything within one language", True, True),
    "cross_cross": Condition("cross / cross", "everything across languages", False, False),
    "same_cross": Condition("same / cross", "same speaker within a language, others across", True, False),
    "all": Condition("all trials", "all of them together", None, None),
}
