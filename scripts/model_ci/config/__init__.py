"""The user's file as typed, frozen objects; what it may say and its defaults stand in schemas/config.schema.json."""

from model_ci.config.file import DEFAULT_FILE, Config, load
from model_ci.config.model import Csv, Data, Gate, Holdout, Sample, Window
from model_ci.config.operation import CheckDrift, CompareVariants, GuardRail, Monitor, MonitorLimit, Retrain
from model_ci.config.release import BuildImage, Docker, Environment, Signature, Smoke

__all__ = [
    "DEFAULT_FILE", "BuildImage", "CheckDrift", "CompareVariants", "Config", "Csv", "Data", "Docker", "Environment", "Gate",
    "GuardRail", "Holdout", "Monitor", "MonitorLimit", "Retrain", "Sample", "Signature", "Smoke", "Window", "load",
]  # fmt: skip
