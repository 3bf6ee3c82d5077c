"""The grid's cells in one small table, which git tracks and the report shows."""

from pathlib import Path

from laspa.files import sha256_file, write_json
from laspa.report.prefix_heads import collect
from pipelines import stage

CELLS, TABLE, MANIFEST = Path("studies/grid/cells"), Path("studies/grid.json"), Path("data/manifest.parquet")


def main() -> None:
    write_json(TABLE, collect(CELLS, sha256_file(MANIFEST)))


if __name__ == "__main__":
    stage.run(main)
