"""LASPA: two encoders over one mel spectrogram, fused for the decoder; the baselines are parts of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.centring import LanguageCentring
from laspa.models.decoder import Decoder
from laspa.models.encoders import ENCODERS, check_encoders
from laspa.models.losses import AAMSoftmax, mapc, reverse_gradient
from laspa.models.numpy_products import use_numpy_products
from laspa.models.pooling import length_mask
from laspa.models.prefix import ConcatFusion, PrefixTuner
from laspa.params import System

use_numpy_products()


@dataclass
class Output:
    """The result of a forward pass; None for parts that the system does not have.

    speaker, language: (batch, embedding_dim), the embeddings that are classified and scored.
    reconstruction: (batch, frames, mels).
    attention: (batch, heads, prefix_len + tokens) of the tuner whose query is that embedding.
    keys: (batch, tokens, key_dim) that this tuner attends to; a gradient for them has passed through it.
    """

    speaker: Tensor
    language: Any = None
    reconstruction: Any = None
    attention: dict[str, Tensor] | None = None
    keys: dict[str, Tensor] | None = None


class Laspa(nn.Module):
    """Every system of the comparison: parts that no loss term needs are not built.

    The baseline is the speaker encoder with only AAM-softmax. The adversary adds a language
    classifier after a gradient reversal. A language encoder exists if a loss reads it, the decoder if
    mels are rebuilt, the fusion if mels are rebuilt or the heads read fused embeddings.
    """

    def __init__(self, system: System, num_mels: int, num_speakers: int, num_languages: int) -> None:
        super().__init__()
        model, weights = system.model, system.loss_weights
        dim = model.embedding_dim
        self.system = system
        self.mel_settings: dict[str, Any] | None = None  # of the mels it was trained on, once it is
        check_encoders(model)
        self.speaker_encoder = ENCODERS[model.speaker_encoder](num_mels, dim)
        self.speaker_head = AAMSoftmax(dim, num_speakers, model.sub_centres)
        self.adversary: Any = nn.Linear(dim, num_languages) if weights.grl else None
        self.language_encoder: Any = None
        self.centring = LanguageCentring(num_languages, dim) if model.centring == "language" else None
        self.fusion: nn.ModuleDict | None = None
        self.decoder: nn.Module | None = None
        if system.has_language_encoder:
            encoder = ENCODERS[model.language_encoder](num_mels, dim)
            self.language_encoder = encoder
            self.language_head = nn.Linear(dim, num_languages)
            if system.has_fusion:
                self.fusion = _fusion(system, self.speaker_encoder.frame_dim, encoder.frame_dim)
            if weights.mse:
                self.decoder = Decoder(
                    dim, encoder.frame_dim, model.content_dim, model.decoder_dim, num_mels, encoder.stride
                )

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> Output:
        """`mel: (batch, frames, mels)`, `lengths: (batch,)` real frames, or None where all are."""
        speaker, speaker_frames = self.speaker_encoder(mel, lengths)
        if self.language_encoder is None:
            return Output(speaker)
        language, language_frames = self.language_encoder(mel, lengths)
        if self.fusion is None:
            return Output(speaker, language)
        attention = keys = None
        if self.system.model.fusion == "concat":
            fused_speaker = self.fusion["speaker"](speaker, language)
            fused_language = self.fusion["language"](language, speaker)
        else:
            to_language = self._keys(language, language_frames, lengths, self.language_encoder.stride)
            fused_speaker, on_language = self.fusion["speaker"](speaker, *to_language)
            to_speaker = self._keys(speaker, speaker_frames, lengths, self.speaker_encoder.stride)
            fused_language, on_speaker = self.fusion["language"](language, *to_speaker)
            attention = {"speaker": on_language, "language": on_speaker}
            keys = {"speaker": to_language[0], "language": to_speaker[0]}
        rebuilt = None
        if self.decoder is not None:
            rebuilt = self.decoder(fused_speaker, fused_language, language_frames, mel.shape[1])
        if self.system.model.heads == "fused":
            speaker, language = fused_speaker, fused_language
        return Output(speaker, language, rebuilt, attention, keys)

    def _keys(
        self, embedding: Tensor, frames: Tensor, lengths: Tensor | None, stride: int
    ) -> tuple[Tensor, Tensor | None]:
        """The keys that one encoder gives to the tuner of the other, and their mask."""
        if self.system.model.keys == "pooled":
            return embedding[:, None, :], None
        return frames.view_as(frames), length_mask(lengths, frames.shape[1], stride)

    def scored(self, output: Output) -> Tensor:
        """What is scored by cosine, (batch, embedding_dim): the speaker embedding, centred if asked for."""
        if self.centring is None or output.language is None:
            return output.speaker
        return self.centring(output.speaker, self.language_head(output.language).softmax(dim=1))

    def speaker_embedding(self, mel: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`scored`, without the parts that it does not need: tuners and decoder with heads on encoder
        embeddings, and without centring the language encoder too."""
        if self.system.model.heads == "fused":
            return self.scored(self(mel, lengths))
        speaker = self.speaker_encoder(mel, lengths)[0]
        if self.centring is None:
            return speaker
        return self.scored(Output(speaker, self.language_encoder(mel, lengths)[0]))

    def recognise(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """`speaker_embedding`, and the posteriors of the languages, (batch, languages): None where no
        language head was trained."""
        if self.language_encoder is None or not self.system.loss_weights.nll:
            return self.speaker_embedding(mel, lengths), None
        if self.system.model.heads == "fused":
            output = self(mel, lengths)
        else:
            speaker = self.speaker_encoder(mel, lengths)[0]
            output = Output(speaker, self.language_encoder(mel, lengths)[0])
        return self.scored(output), self.language_head(output.language).softmax(dim=1)

    def loss_terms(
        self, output: Output, mel: Tensor, speaker: Tensor, language: Tensor, margin: float
    ) -> dict[str, Tensor]:
        """The unweighted terms whose weight is not zero, each a scalar.

        Args:
            mel: (batch, frames, mels), all frames real.
            speaker, language: (batch,) class indices.
            margin: of AAM-softmax at this step, radians.
        """
        system = self.system
        terms: dict[str, Callable[[], Tensor]] = {
            "aam": lambda: self.speaker_head(output.speaker, speaker, margin, system.aam_scale),
            "grl": lambda: F.cross_entropy(self.adversary(reverse_gradient(output.speaker)), language),
            "nll": lambda: F.cross_entropy(self.language_head(output.language), language),
            "mapc": lambda: mapc(output.speaker, output.language, system.model.mapc),
            "mse": lambda: F.mse_loss(output.reconstruction.float(), mel.float()),
        }
        return {name: term() for name, term in terms.items() if getattr(system.loss_weights, name)}

    def prefix_mass(self, output: Output) -> dict[str, Tensor]:
        """Share of attention on the prefix, a scalar in [0, 1] for each tuner; empty without tuners."""
        length = self.system.prefix_len
        attention = output.attention or {}
        return {name: weights[..., :length].sum(dim=-1).mean() for name, weights in attention.items()}

    def parameter_counts(self) -> dict[str, int]:
        """Trainable parameters of each part, without the heads, which are not used after training."""
        parts = ("speaker_encoder", "language_encoder", "fusion", "decoder")
        counts = {
            name: sum(p.numel() for p in part.parameters()) if (part := getattr(self, name)) else 0
            for name in parts
        }
        return counts | {"total": sum(counts.values())}


def added_parameters_percent(counts: dict[str, int]) -> float:
    """Parameters of the fusion as a percentage of the speaker encoder's, the base model's."""
    return 100 * counts["fusion"] / counts["speaker_encoder"]


def _fusion(system: System, speaker_frame_dim: int, language_frame_dim: int) -> nn.ModuleDict:
    model, dim = system.model, system.model.embedding_dim

    def fuse(frame_dim: int) -> nn.Module:
        if model.fusion == "concat":
            return ConcatFusion(dim)
        key_dim = dim if model.keys == "pooled" else frame_dim
        return PrefixTuner(dim, key_dim, model.attention_dim, system.num_heads, system.prefix_len)

    return nn.ModuleDict({"speaker": fuse(language_frame_dim), "language": fuse(speaker_frame_dim)})
