"""All corpora by name."""

from laspa.corpora import asterisk, common_voice, folder, nisp, tidyvoice, voxceleb
from laspa.corpora.corpus import Corpus
from laspa.corpora.synthetic import corpus as synthetic
from laspa.corpora.synthetic import other as synthetic_other

EMBEDDED = {"synthetic", "synthetic_other"}  # made from params.yaml alone

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        synthetic.CORPUS,
        synthetic_other.CORPUS,
        folder.CORPUS,
        nisp.CORPUS,
        voxceleb.VOXCELEB1,
        voxceleb.VOXCELEB2,
        common_voice.CORPUS,
        tidyvoice.CORPUS,
        asterisk.CORPUS,
    )
}


def declared_by_params(names: list[str]) -> bool:
    """Whether params.yaml declares all speakers and languages of a model's corpora."""
    return "synthetic" in names and set(names) <= EMBEDDED
