"""Reading the manifest back."""

from pathlib import Path

import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.manifest.tables import read_manifest

MANIFEST = pd.DataFrame({"utterance_id": ["a/en/0", "a/en/1"], "speaker": ["a", "a"]})


def test_the_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    MANIFEST.to_parquet(tmp_path / "m.parquet", index=False)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.parquet"), MANIFEST)


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"m\.parquet: no such file; run the stage manifest"):
        read_manifest(tmp_path / "m.parquet")
