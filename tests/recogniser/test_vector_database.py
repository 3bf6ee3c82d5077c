"""The example of docs/export.md: the shards of `laspa embed` in a vector database."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install lancedb")

PAGE = Path(__file__).parents[2] / "docs/export.md"


def test_the_example_of_the_docs_finds_the_nearest(tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    (tmp_path / "embeddings").mkdir()
    for part in range(2):
        rows = slice(20 * part, 20 * part + 20)
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors[rows].ravel()), 16)
        table = pa.table({"utterance_id": [f"u{row}" for row in range(40)[rows]], "vector": values})
        pq.write_table(table, tmp_path / "embeddings" / f"part-{part:06d}.parquet")
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(import lancedb.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(example[1], {})
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    cosines = vectors @ vectors[0]
    nearest = np.argsort(-cosines)[:3]
    assert [name for name, _ in found] == [f"u{row}" for row in nearest]
    np.testing.assert_allclose([float(score) for _, score in found], cosines[nearest], atol=1e-5)
