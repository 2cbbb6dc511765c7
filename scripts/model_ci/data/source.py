"""Where the data is, and which version of it: the hash of the bytes really read, and DVC's."""

import glob
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.config import Csv, Data
from model_ci.data import pointer
from model_ci.data.hashes import Hashes, Stamp, stamp
from model_ci.data.pointer import Pointer
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.types import JSON


FORMATS: Final = {".csv": "csv", ".parquet": "parquet"}
TABLES: Final = {**FORMATS, ".jsonl": "jsonl", ".ndjson": "jsonl"}  # what a service leaves may be JSON lines as well


@dataclass(frozen=True, kw_only=True)
class Source:
    """The files of the data, in order, all of one format; the rows of those in `held_out` are the holdout."""

    root: Path
    location: str
    format: str
    files: tuple[Path, ...]
    pointers: tuple[Pointer, ...]
    held_out: tuple[Path, ...] = ()
    csv: Csv | None = None  # None: as the schema's defaults say
    measured: bool = False  # a NaN is a fault of what computed it, and no missing value

    def form(self, file: Path) -> str:
        """Return the format of one file."""
        return TABLES.get(file.suffix.lower(), self.format)


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """One file as it was read."""

    path: str
    bytes: int
    sha256: str
    stamp: Stamp


@dataclass(frozen=True, kw_only=True)
class PointerVersion:
    """What DVC says about the data, and whether the bytes on the disk agree."""

    path: str
    md5: str
    matches: bool


@dataclass(frozen=True, kw_only=True)
class DataVersion:
    """The identity of the data; `sha256` is that of the files' list, as `sha256sum` writes it."""

    location: str
    format: str
    files: tuple[FileVersion, ...]
    sha256: str
    dvc: tuple[PointerVersion, ...] | None

    def as_record(self) -> "dict[str, JSON]":
        """Return the version as it stands in a run's record."""
        return {
            "location": self.location,
            "format": self.format,
            "files": [{"path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in self.files],
            "sha256": self.sha256,
            "dvc": None if self.dvc is None else [vars(p) for p in self.dvc],
        }


def resolve(data: Data, root: Path) -> Source:
    """Find the files that `data.path` and `data.holdout.path` name, pulling from the DVC remote those that are absent.

    Raises ConfigError when there is none or their formats differ, ServiceError when the remote refuses.
    """
    files, pointers = _resolve("data.path", data.path, root)
    held_out: list[Path] = []
    if data.holdout.path:
        held_out, others = _resolve("data.holdout.path", data.holdout.path, root)
        pointers += [p for p in others if p not in pointers]
        if both := [_relative(file, root) for file in held_out if file in files]:
            raise ConfigError(
                f"data.holdout.path: {', '.join(both)} matched by data.path as well; a file is learnt from or held out: "
                "narrow one of the two"
            )
        files += held_out
    return Source(
        root=root,
        location=data.path,
        format=_format(files, root),
        files=tuple(files),
        pointers=tuple(pointers),
        held_out=tuple(held_out),
        csv=data.csv,
    )


def _resolve(key: str, path: str, root: Path) -> tuple[list[Path], list[Pointer]]:
    place = Path(os.path.normpath(root / path))
    folder = f"{key}: {path} is a folder; name its files, such as {_inside(path)}"
    if place.is_dir():
        raise ConfigError(folder)
    pointers = pointer.find(place)
    absent = [p for p in pointers if not p.path.exists()]
    if absent:
        pointer.pull(absent, root)
        if place.is_dir():
            raise ConfigError(folder)
    files = _files(place)
    if not files:
        raise ConfigError(f"{key}: no file matches {path} in {root}; correct the path, or track the data with DVC")
    return files, pointers


def version(source: Source) -> DataVersion:
    """Return the version of the data: hashes of its files, from the cache where they are unchanged."""
    hashes = Hashes(source.root)
    tracked = {p.path for p in source.pointers}
    files = tuple(_file_version(file, source, hashes, md5=file in tracked) for file in source.files)
    listing = "".join(f"{file.sha256}  {file.path}\n" for file in files)
    dvc = tuple(
        PointerVersion(path=_relative(p.path, source.root), md5=p.md5, matches=p.matches(hashes))
        for p in source.pointers
    )
    hashes.save()
    return DataVersion(
        location=source.location,
        format=source.format,
        files=files,
        sha256=hashlib.sha256(listing.encode()).hexdigest(),
        dvc=dvc or None,
    )


def confirm(source: Source, read: DataVersion) -> None:
    """Raise ConfigError unless the files are still those whose hash was taken; call it after reading them."""
    changed = [
        f"{was.path}: changed while it was read; run again when nothing writes to it"
        for file, was in zip(source.files, read.files, strict=True)
        if stamp(file) != was.stamp
    ]
    if changed:
        raise ConfigError(*changed)


def sha256(file: Path) -> str:
    """Return the SHA-256 of one file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _file_version(file: Path, source: Source, hashes: Hashes, *, md5: bool) -> FileVersion:
    # Both in one reading: DVC's MD5 is compared afterwards and then comes from the cache.
    stamp, digests = hashes.of(file, "sha256", *(["md5"] if md5 else []))
    return FileVersion(path=_relative(file, source.root), bytes=stamp[0], sha256=digests["sha256"], stamp=stamp)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    matches = sorted(Path(name) for name in glob.glob(str(place), recursive=True))  # noqa: PTH207 - an absolute pattern
    return [file for file in matches if file.is_file() and file.suffix != ".dvc"]


def _format(files: list[Path], root: Path) -> str:
    unknown = [file for file in files if file.suffix.lower() not in FORMATS]
    if unknown:
        raise ConfigError(
            *(f"{_relative(f, root)}: neither .csv nor .parquet; convert it, or narrow data.path" for f in unknown)
        )
    formats = sorted({FORMATS[file.suffix.lower()] for file in files})
    if len(formats) > 1:
        raise ConfigError(f"data.path: matches {' and '.join(formats)} files; narrow it to one of the two formats")
    return formats[0]


def _inside(path: str) -> str:
    return f"{path.rstrip('/')}/*.parquet"


def _relative(file: Path, root: Path) -> str:
    return Path(os.path.relpath(file, root)).as_posix()
