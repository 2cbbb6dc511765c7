"""The manifest: what the service serves, and the hashes that every file must have before it is opened."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_ci.serving.classes import positive
from model_ci.serving.refusal import StartError
from model_ci.serving.types import Record, Value, Values

VERSION: Final = 1
ONNX, SKLEARN = "onnx", "sklearn"
FOLDER: Final = "model"  # beside the manifest; nothing lies in it that the manifest does not name
EXPLAIN: Final = "explain"  # as well, where the image can explain
ONNX_FILE: Final = "model/model.onnx"
_KEYS: Final = {
    "name": str, "run_id": str, "task": str, "classes": list, "features": list, "signature": list, "files": dict,
    "engine": str, "probe": dict, "digest": str,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` says; schemas/manifest.schema.json describes each key."""

    root: Path
    values: Record

    @classmethod
    def read(cls, file: Path) -> "Manifest":
        """Read a manifest; raise StartError when it is absent or none of ours."""
        try:
            values = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise StartError(f"{file}: cannot be read: {error}; build the image again") from None
        if not isinstance(values, dict) or values.get("schema_version") != VERSION:
            raise StartError(f"{file}: is no manifest of version {VERSION}; build the image again")
        wrong = [k for k, kind in _KEYS.items() if not isinstance(values.get(k), kind)]
        if wrong:
            raise StartError(f"{file}: {', '.join(wrong)} missing or of another type; build the image again")
        if values["engine"] not in (ONNX, SKLEARN):
            raise StartError(f"{file}: engine must be {ONNX} or {SKLEARN}. Got {values['engine']!r}.")
        return cls(root=file.resolve().parent, values=values)

    def __getitem__(self, key: str) -> Value:
        return self.values[key]

    @property
    def version(self) -> str:
        """The registered version; empty for a model that was not registered."""
        version = self.values.get("version")
        return "" if version is None else str(version)

    @property
    def classes(self) -> Values:
        """The target's values in the order of the probabilities; none for a number."""
        return list(self.values["classes"])

    @property
    def positive(self) -> int | None:
        """The position of a binary task's positive class; the last one where neither it nor the classes name one."""
        if self.values["task"] != "binary" or not self.classes:
            return None
        place = positive(self.classes, self.values.get("positive"))
        return len(self.classes) - 1 if place is None else place

    def check_files(self) -> None:
        """Raise StartError unless the files are exactly those of the manifest, byte for byte."""
        below = (f for folder in (FOLDER, EXPLAIN) for f in (self.root / folder).rglob("*") if not f.is_dir())
        there = {f.relative_to(self.root).as_posix() for f in below}
        known = dict(self.values["files"])
        wrong = [f"{self.root / name}: the manifest does not know this file; remove it" for name in there - set(known)]
        for name, expected in sorted(known.items()):
            try:
                actual = hashlib.sha256((self.root / name).read_bytes()).hexdigest()
            except OSError as error:
                wrong.append(f"{self.root / name}: cannot be read: {error.strerror}; build the image again")
                continue
            if actual != expected:
                wrong.append(f"{self.root / name}: is not what the manifest vouches for; build the image again")
        if digest(known) != self.values["digest"]:
            wrong.append(f"{self.root}: the manifest's digest is not that of its files; build the image again")
        if wrong:
            raise StartError(*wrong)


def digest(files: Mapping[str, str]) -> str:
    """Return the SHA-256 over all files' names and hashes: equal for equal content."""
    text = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()
