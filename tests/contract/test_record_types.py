"""The types of a record are those of its schema."""

import re
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


def test_any_stands_only_where_no_better_type_is_known() -> None:
    package = ROOT / "scripts" / "model_ci"
    files = [file for file in package.rglob("*.py") if "templates" not in file.parts]
    count = sum(len(re.findall(r"\bAny\b", file.read_text(encoding="utf-8"))) for file in files)
    assert count <= 300, "name the type; model_ci/types.py, record_types.py and serving/types.py have names for most"
