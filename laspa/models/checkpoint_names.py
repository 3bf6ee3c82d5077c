"""How public checkpoints call the layers of our encoders: one table per kind, and one row in KINDS.

A table is applied to a name from its first row to its last: each occurrence of a fragment is replaced. The
name has a dot at both ends then, so that a fragment between dots is whole parts. In what a name becomes,
`A|B` says that their matrix is A and B side by side, `A#1` that it is the second of several that lie in A one
below the other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from laspa.models.campplus import DENSE_BLOCKS
from laspa.models.ecapa import SCALE
from laspa.models.redimnet import CONTEXT_KERNELS, SIZES, Size, Stage
from laspa.models.resnet import BLOCKS


class Kind(NamedTuple):
    """A public architecture.

    encoders: names in laspa/models/encoders.py, of which the first that the weights fit is taken.
    front_end: in laspa/features/front_ends.py. last: how their name of the embedding's weights ends.
    ignored: starts of their names of what an embedding does not need.
    rolls: fragments of our names, and the axis whose last part of `chunks` is our first one.
    """

    what: str
    encoders: tuple[str, ...]
    front_end: str
    last: str
    table: Mapping[str, str]
    num_mels: int = 80
    ignored: tuple[str, ...] = ()
    rolls: Mapping[str, int] = {}
    chunks: int = SCALE

    def rename(self, theirs: str) -> str:
        """Our name of one of their weights, where ours has it."""
        name = f".{theirs}."
        for fragment, ours in self.table.items():
            name = name.replace(fragment, ours)
        return name.strip(".")

    def rolled(self, name: str) -> int | None:
        """The axis along which one of our weights has its parts in another order."""
        return next((axis for fragment, axis in self.rolls.items() if fragment in name), None)


IMAGE_BLOCK = {".conv1.": ".first.0.", ".bn1.": ".first.1.", ".conv2.": ".second.0.", ".bn2.": ".second.1."}
ENDS_OF_DENSE_BLOCKS = [sum(count for count, _ in DENSE_BLOCKS[:block]) + block for block in range(4)]
CAMPPLUS = {
    ".head.conv1.": ".front.enter.0.",
    ".head.bn1.": ".front.enter.1.",
    ".head.conv2.": ".front.leave.0.",
    ".head.bn2.": ".front.leave.1.",
    **{
        f".head.layer{layer}.{block}.": f".front.blocks.{2 * (layer - 1) + block}."
        for layer in (1, 2)
        for block in (0, 1)
    },
    **IMAGE_BLOCK,
    **{
        f".xvector.block{block}.tdnnd{layer + 1}.": f".layers.{ENDS_OF_DENSE_BLOCKS[block - 1] + layer}."
        for block, (count, _) in enumerate(DENSE_BLOCKS, 1)
        for layer in range(count)
    },
    **{
        f".xvector.transit{block}.nonlinear.batchnorm.": f".layers.{ENDS_OF_DENSE_BLOCKS[block] - 1}.0."
        for block in (1, 2, 3)
    },
    **{
        f".xvector.transit{block}.linear.": f".layers.{ENDS_OF_DENSE_BLOCKS[block] - 1}.2."
        for block in (1, 2, 3)
    },
    ".cam_layer.linear_local.": ".local.",
    ".cam_layer.linear1.": ".gate.0.",
    ".cam_layer.linear2.": ".gate.2.",
    ".nonlinear1.batchnorm.": ".narrow.0.",
    ".nonlinear2.batchnorm.": ".narrow.3.",
    ".linear1.": ".narrow.2.",
    ".xvector.tdnn.linear.": ".stem.0.",
    ".xvector.tdnn.nonlinear.batchnorm.": ".stem.1.",
    ".xvector.out_nonlinear.batchnorm.": ".last.0.",
    ".xvector.dense.linear.": ".project.0.",
    ".xvector.dense.nonlinear.batchnorm.": ".project.1.",
}
RESNET34 = {
    ".resnet.": ".",  # pyannote's
    **{
        f".layer{layer}.{block}.": f".blocks.{sum(BLOCKS[: layer - 1]) + block}."
        for layer, count in enumerate(BLOCKS, 1)
        for block in range(count)
    },
    **{
        f".blocks.{block}{theirs}": f".blocks.{block}{ours}"
        for block in range(sum(BLOCKS))
        for theirs, ours in IMAGE_BLOCK.items()
    },
    ".conv1.": ".stem.0.",
    ".bn1.": ".stem.1.",
    ".seg_1.": ".project.",
}
ECAPA_WESPEAKER = {
    ".layer1.conv.": ".stem.0.",
    ".layer1.bn.": ".stem.2.",
    **{f".layer{block + 2}.se_res2block.": f".blocks.{block}." for block in (0, 1, 2)},
    **{
        f".blocks.{block}.{theirs}": f".blocks.{block}.{ours}"
        for block in (0, 1, 2)
        for theirs, ours in (
            ("0.conv.", "enter.0."),
            ("0.bn.", "enter.2."),
            *((f"1.convs.{chunk}.", f"chunks.{chunk}.0.") for chunk in range(SCALE - 1)),
            *((f"1.bns.{chunk}.", f"chunks.{chunk}.2.") for chunk in range(SCALE - 1)),
            ("2.conv.", "leave.0."),
            ("2.bn.", "leave.2."),
            ("3.linear1.", "excite.gate.0."),
            ("3.linear2.", "excite.gate.2."),
        )
    },
    ".conv.": ".aggregate.",
    ".pool.linear1.weight.": ".pool.score.0.weight|pool.context.weight.",
    ".pool.linear1.": ".pool.score.0.",
    ".pool.linear2.": ".pool.score.2.",
    ".bn.": ".norm.",
    ".linear.": ".project.0.",
}
ECAPA_SPEECHBRAIN = {
    **{f".res2net_block.blocks.{chunk}.": f".chunks.{chunk}." for chunk in range(SCALE - 1)},
    ".conv.conv.": ".conv.",
    ".norm.norm.": ".norm.",
    ".fc.conv.": ".project.0.",
    ".asp.tdnn.conv.weight.": ".pool.score.0.weight|pool.context.weight.",
    ".asp.tdnn.conv.": ".pool.score.0.",
    ".asp.tdnn.norm.": ".pool.score.1.1.",
    ".asp.conv.": ".pool.score.2.",
    ".mfa.conv.": ".aggregate.",
    ".mfa.norm.": ".frame_norm.",
    ".blocks.0.conv.": ".stem.0.",
    ".blocks.0.norm.": ".stem.2.",
    **{f".blocks.{block}.": f".blocks.{block - 1}." for block in (1, 2, 3)},
    ".tdnn1.": ".enter.",
    ".tdnn2.": ".leave.",
    ".se_block.conv1.conv.": ".excite.gate.0.",
    ".se_block.conv2.conv.": ".excite.gate.2.",
    ".conv.": ".0.",
    ".norm.": ".2.",
    ".asp_bn.2.": ".norm.",
}


def _redimnet(size: Size) -> dict[str, str]:
    table = {
        ".backbone.": ".",
        ".norm.": ".layers.1.",
        ".fin_wght1d.w.": f".mixtures.{len(size.stages)}.logits.",
        ".pool.linear1.weight.": ".pool.score.0.weight|pool.context.weight.",
        ".pool.linear1.": ".pool.score.0.",
        ".pool.linear2.": ".pool.score.2.",
        ".bn.": ".norm.",
        ".linear.": ".project.",
    }
    for index, stage in enumerate(Stage(*fields) for fields in size.stages):
        theirs, ours = f".stage{index}.", f".stages.{index}."
        table[f"{theirs}0.w."] = f".mixtures.{index}.logits."
        table[f"{theirs}2."] = f"{ours}split."
        for block in range(stage.blocks):
            table[f"{theirs}{3 + block}.conv_block."] = f"{ours}blocks.{block}."
        place = 3 + stage.blocks
        if stage.expansion != 1:
            table[f"{theirs}{place}."] = f"{ours}squeeze."
            place += 1
        table[f"{theirs}{place + 1}."] = f"{ours}context."
    convolutions = {f".tcm.{place}.": f".convolutions.{place}." for place in range(len(CONTEXT_KERNELS))}
    return (
        table
        | convolutions
        | {
            ".dwconvs.0.": ".layers.0.",
            ".pwconv1.": ".layers.3.",
            ".red_dim_conv.": ".narrow.",
            ".exp_dim_conv.": ".widen.",
            f".tcm.{len(CONTEXT_KERNELS)}.": ".transformer.",
            **{
                f".attention.{matrix}_proj.{what}.": f".self_attn.in_proj_{what}#{order}."
                for order, matrix in enumerate("qkv")
                for what in ("weight", "bias")
            },
            ".attention.out_proj.": ".self_attn.out_proj.",
            ".layer_norm.": ".norm1.",
            ".final_layer_norm.": ".norm2.",
            ".feed_forward.intermediate_dense.": ".linear1.",
            ".feed_forward.output_dense.": ".linear2.",
            ".conv1.": ".first.0.",
            ".conv1pw.": ".first.1.",
            ".bn1.": ".first.3.",
            ".conv2.": ".second.0.",
            ".conv2pw.": ".second.1.",
            ".bn2.": ".second.2.",
        }
    )


ROLLS = {".enter.": 0, ".leave.0.weight": 1}  # WeSpeaker's chunk without a convolution is the last one
HEAD = ("projection.",)  # the classifier of the training speakers

KINDS = {
    "campplus": Kind(
        "3D-Speaker's CAM++", ("campplus",), "3d-speaker", "xvector.dense.linear.weight", CAMPPLUS
    ),
    "wespeaker_campplus": Kind(
        "WeSpeaker's CAM++", ("campplus",), "wespeaker", "xvector.dense.linear.weight", CAMPPLUS, ignored=HEAD
    ),
    "wespeaker_resnet34": Kind(
        "WeSpeaker's ResNet-34", ("wespeaker_resnet34",), "wespeaker", "seg_1.weight", RESNET34, ignored=HEAD
    ),
    **{
        f"wespeaker_ecapa_{channels}": Kind(
            f"WeSpeaker's ECAPA-TDNN {channels} with global context",
            (f"wespeaker_ecapa_{channels}",),
            "wespeaker",
            "linear.weight",
            ECAPA_WESPEAKER,
            ignored=HEAD,
            rolls=ROLLS,
        )
        for channels in (512, 1024)
    },
    "speechbrain_ecapa": Kind(
        "SpeechBrain's ECAPA-TDNN", ("speechbrain_ecapa",), "speechbrain", "fc.conv.weight", ECAPA_SPEECHBRAIN
    ),
    **{
        name: Kind(
            f"ReDimNet-{name[-2:].upper()}",
            tuple(f"released_{one}" for one in SIZES if one.startswith(name)),
            "redimnet",
            "linear.weight",
            _redimnet(SIZES[name]),
            num_mels=SIZES[name].num_mels,
            # One output has nothing to be weighted against.
            ignored=("spec.", "cls_head.", "backbone.stage0.0."),
        )
        for name in ("redimnet_b0", "redimnet_b1", "redimnet_b2")
    },
}
