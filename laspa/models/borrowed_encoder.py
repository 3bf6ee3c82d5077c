"""Languages heard by a model whose training had no use for them, with the language encoder of another."""

from pathlib import Path

from laspa.errors import LaspaError
from laspa.models.laspa import Laspa
from laspa.models.saving import load_model, save_model

PARTS = ("language_encoder.", "language_head.")


def can_lend(model: Laspa) -> bool:
    """Whether its language head reads its language encoder alone, and so works in another model too."""
    weights, options = model.system.loss_weights, model.system.model
    return bool(weights.nll) and options.heads == "encoder"


def save_with_language_encoder(folder: Path, lender: Path, saved: Path) -> None:
    """Write `saved`: the model of `folder` with its embeddings, and `lender`'s language posteriors.

    Args:
        folder: of a saved model without a language encoder.
        lender: of one that `can_lend`, trained on the same data.

    Raises:
        LaspaError: they were trained on other languages or mels.
    """
    (ours, about), (theirs, of_theirs) = load_model(folder), load_model(lender)
    for key in ("languages", "features"):
        if about[key] != of_theirs[key]:
            raise LaspaError(
                f"{lender}: trained on other {key} than {folder}, so it cannot tell its languages"
            )
    system, lent = ours.system, theirs.system
    weights = system.loss_weights.model_copy(update={"nll": lent.loss_weights.nll})
    options = system.model.model_copy(update={"language_encoder": lent.model.language_encoder})
    system = system.model_copy(update={"loss_weights": weights, "model": options})
    mels = about["features"]["settings"]["num_mels"]
    found = Laspa(system, mels, len(about["speakers"]), len(about["languages"]))
    taken = {name: value for name, value in theirs.state_dict().items() if name.startswith(PARTS)}
    found.load_state_dict(ours.state_dict() | taken)
    save_model(saved, found, about["features"], about["speakers"], about["languages"])
