"""What pipelines.prefix_heads measured as one small table, which is in git and in the report."""

from pathlib import Path

from laspa.files import sha256_file, write_json
from laspa.report.prefix_heads import collect
from pipelines import stage

CELLS, TABLE = Path("studies/prefix_heads/cells"), Path("studies/prefix_heads.json")
MANIFEST = Path("data/manifest.parquet")


def main() -> None:
    write_json(TABLE, collect(CELLS, sha256_file(MANIFEST)))


if __name__ == "__main__":
    stage.run(main)
