"""Which rows a registered model was trained on, as a tag of its version."""

import json
from collections.abc import Mapping
from typing import Any, Final

TAG: Final = "model_ci.learnt"


def written(section: Mapping[str, Any]) -> str:
    """Return the tag's text, by the section of `train`."""
    data = section["data"]
    return json.dumps({name: data.get(name) for name in ("boundary", "last", "rows", "train_rows")})


def read(tags: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what the tag holds; None where there is no such tag."""
    try:
        content = json.loads(tags[TAG])
    except (KeyError, ValueError):
        return None
    return content if isinstance(content, dict) else None
