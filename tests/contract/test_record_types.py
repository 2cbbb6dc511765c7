"""The types of a record are those of its schema."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_types_of_a_record_are_those_of_its_schema() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import typed_records
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    current = typed_records.MODULE.read_text(encoding="utf-8")
    assert current == typed_records.text(), "run `make records`"
