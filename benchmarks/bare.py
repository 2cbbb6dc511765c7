"""What a team without model-ci writes: read, train, judge, compare with the champion, log and register with MLflow."""

import sys
from pathlib import Path

import mlflow
import pandas as pd
import sklearn
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.base import ClassifierMixin
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import train_test_split

NAME = "benchmark"
TIME, TARGET = "day", "target"
REQUIREMENTS = [f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"]
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def main(folder: Path) -> None:
    """Do it all, as one does."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = MlflowClient()
    train, test = split(read(folder))
    features = [name for name in train.columns if name not in {TIME, TARGET}]
    model = build(folder).fit(train[features], train[TARGET])
    metrics = judge(model, test[features], test[TARGET])
    champion = load_champion()
    better = champion is None or metrics["roc_auc"] >= judge(champion, test[features], test[TARGET])["roc_auc"] - 0.01
    if client.get_experiment_by_name(NAME) is None:
        client.create_experiment(NAME, artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(NAME)
    with mlflow.start_run():
        mlflow.log_params(model.get_params())
        mlflow.log_metrics(metrics)
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(test[features].head(), model.predict(test[features].head())),
            input_example=test[features].head(),
            pip_requirements=REQUIREMENTS,
            skops_trusted_types=TRUSTED,
            registered_model_name=NAME,
        )
    version = logged.registered_model_version
    client.set_registered_model_alias(NAME, "challenger", version)
    if better:
        client.set_registered_model_alias(NAME, "champion", version)
    print(f"version {version}", metrics)


def read(folder: Path) -> pd.DataFrame:
    """Return the project's table."""
    if (folder / "data.parquet").exists():
        return pd.read_parquet(folder / "data.parquet")
    return pd.read_csv(folder / "data.csv")


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out the newest fifth of the rows, or any fifth where they have no time."""
    if TIME not in table.columns:
        return tuple(train_test_split(table, test_size=0.2, random_state=0))
    table[TIME] = pd.to_datetime(table[TIME])
    table = table.sort_values(TIME)
    return table.iloc[: -len(table) // 5], table.iloc[-len(table) // 5 :]


def build(folder: Path) -> ClassifierMixin:
    """Return the project's model, not fitted yet."""
    sys.path.insert(0, str(folder))
    import model

    return model.build(seed=0)


def judge(model: ClassifierMixin, rows: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """Return the metrics."""
    scores = model.predict_proba(rows)[:, 1]
    return {
        "roc_auc": float(roc_auc_score(truth, scores)),
        "average_precision": float(average_precision_score(truth, scores)),
        "brier_score": float(brier_score_loss(truth, scores)),
    }


def load_champion() -> ClassifierMixin | None:
    """Return the registered champion, None when there is none yet."""
    try:
        return mlflow.sklearn.load_model(f"models:/{NAME}@champion")
    except MlflowException:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
