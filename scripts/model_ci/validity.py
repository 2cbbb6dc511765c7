"""Documents that were found valid, remembered by their content: the library that checks them takes longer than most commands."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from model_ci.files import write_atomically
from model_ci.schema import Path_, problems, schema_text

FOLDER: Final = ".model-ci"  # beside the configuration
_FILE: Final = Path("cache") / "valid.json"
_MOST: Final = 1000


def violations(value: Any, schema: str, root: Path) -> Sequence[tuple[Path_, str]]:
    """Return each violation as its path and a sentence; below `root` it is remembered that there are none."""
    file = root / FOLDER / _FILE
    key = hashlib.sha256(schema_text(schema) + json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()
    known = _read(file)
    if key in known:
        return ()
    violated = list(problems(value, schema))
    if not violated and (root / FOLDER).is_dir():
        with suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            write_atomically(file, json.dumps([*known, key][-_MOST:]).encode())
    return violated


def _read(file: Path) -> list[str]:
    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return []
    return known if isinstance(known, list) else []
