"""A trained model: an MLflow model folder, loaded only when its hashes are vouched for, and asked in one way.

Its modules are imported when a name of theirs is used: a command that only checks the configuration needs one of ten.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from model_ci.model import own_code, probe, process
    from model_ci.model.answers import Answers
    from model_ci.model.opening import asked, opened, reopened, require_probe, require_same
    from model_ci.model.predictor import Predictor, class_order, load, outputs
    from model_ci.model.saved import FOLDER, check, describe, hash_files, quiet_mlflow, save, size_mb, types_of
    from model_ci.model.target import check_first_rows, classes, positive, require_positive

__all__ = [
    "FOLDER",
    "Answers",
    "Predictor",
    "asked",
    "check",
    "check_first_rows",
    "class_order",
    "classes",
    "describe",
    "hash_files",
    "load",
    "opened",
    "outputs",
    "own_code",
    "positive",
    "probe",
    "process",
    "quiet_mlflow",
    "reopened",
    "require_positive",
    "require_probe",
    "require_same",
    "save",
    "size_mb",
    "types_of",
]
_MODULES: Final = {
    "own_code": (), "probe": (), "process": (),
    "answers": ("Answers",),
    "opening": ("asked", "opened", "reopened", "require_probe", "require_same"),
    "predictor": ("Predictor", "class_order", "load", "outputs"),
    "saved": ("FOLDER", "check", "describe", "hash_files", "quiet_mlflow", "save", "size_mb", "types_of"),
    "target": ("check_first_rows", "classes", "positive", "require_positive"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name == module or name in names:
            imported = import_module(f"{__name__}.{module}")
            return getattr(imported, name) if names else imported
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
