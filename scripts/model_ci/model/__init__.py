"""A trained model: an MLflow model folder, loaded only when its hashes are vouched for, and asked in one way."""

from model_ci.model import own_code, probe, process
from model_ci.model.answers import Answers
from model_ci.model.opened import asked, opened, reopened, require_probe, require_same
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
