"""What a team without model-ci writes: read, train, judge, compare with the champion, log and register with MLflow."""

import sys
from pathlib import Path

import mlflow
import pandas as pd
import sklearn
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import train_test_split

NAME = "benchmark"
PARAMETERS = {"max_iter": 100, "learning_rate": 0.1}
REQUIREMENTS = [f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"]
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def main(folder: Path) -> None:
    """Do it all, as one does."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = MlflowClient()
    table = pd.read_parquet(folder / "data.parquet")
    train, test = train_test_split(table, test_size=0.2, random_state=0)
    features = [name for name in table.columns if name != "target"]
    model = HistGradientBoostingClassifier(**PARAMETERS, random_state=0).fit(train[features], train["target"])
    metrics = judge(model, test[features], test["target"])
    champion = load_champion()
    better = champion is None or metrics["roc_auc"] >= judge(champion, test[features], test["target"])["roc_auc"] - 0.01
    if client.get_experiment_by_name(NAME) is None:
        client.create_experiment(NAME, artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(NAME)
    with mlflow.start_run():
        mlflow.log_params(PARAMETERS)
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


def judge(model: HistGradientBoostingClassifier, rows: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """Return the metrics."""
    scores = model.predict_proba(rows)[:, 1]
    return {
        "roc_auc": float(roc_auc_score(truth, scores)),
        "average_precision": float(average_precision_score(truth, scores)),
        "brier_score": float(brier_score_loss(truth, scores)),
    }


def load_champion() -> HistGradientBoostingClassifier | None:
    """Return the registered champion, None when there is none yet."""
    try:
        return mlflow.sklearn.load_model(f"models:/{NAME}@champion")
    except MlflowException:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
