"""Every task and every way to make a model, from the configuration to the champion."""

from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]

MORE_CODE = '''

from sklearn.linear_model import Ridge


def flowers():
    return LogisticRegression(max_iter=1000)


def price(alpha=1.0):
    return Ridge(alpha=alpha)


def fitted(train, features, target, seed):
    model = make_pipeline(make_column_transformer(("passthrough", ["size"])), LogisticRegression(random_state=seed))
    return model.fit(train[features], train[target])


def with_lambda():
    from sklearn.preprocessing import FunctionTransformer

    numbers = make_pipeline(make_column_transformer(("passthrough", ["size", "age"])), FunctionTransformer(lambda x: x * 2))
    return make_pipeline(numbers, LogisticRegression())


def with_nan():
    from sklearn.impute import SimpleImputer

    columns = make_column_transformer(("passthrough", ["size", "age"]))
    return make_pipeline(columns, SimpleImputer(missing_values=float("nan")), LogisticRegression())


class Doubled(LogisticRegression):
    """A class of the user's own."""


def with_own_class():
    return make_pipeline(make_column_transformer(("passthrough", ["size", "age"])), Doubled())
'''


@pytest.fixture
def coded(project: Any) -> Any:
    with (project.root / "model_code.py").open("a") as code:
        code.write(MORE_CODE)
    return project


def test_multiclass_with_names_for_classes(coded: Any, command: Command) -> None:
    from sklearn.datasets import load_iris

    iris = load_iris(as_frame=True)
    table = iris.data.assign(species=[iris.target_names[i] for i in iris.target]).sample(frac=1, random_state=0)
    table.to_csv(coded.root / "data.csv", index=False)
    coded.configure(
        model={"task": "multiclass"},
        data={"target": "species", "time_column": None},
        check_data={"min_rows": 50},
        train={"entrypoint": "model_code:flowers", "parameters": {}},
        evaluate={
            "min_rows": 20,
            "metrics": ["roc_auc_ovr", "log_loss"],
            "gates": [{"metric": "accuracy", "min": 0.85}],
        },
    )
    answer = command(coded.root, "run")
    assert answer.code == 0, answer.text
    train = coded.record()["stages"]["train"]
    assert train["model"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert coded.record()["stages"]["evaluate"]["metrics"]["roc_auc_ovr"]["challenger"] > 0.95


def test_regression_on_parquet_by_a_glob(coded: Any, command: Command) -> None:
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True).frame
    (coded.root / "months").mkdir()
    for i in range(3):
        table.iloc[i::3].to_parquet(coded.root / "months" / f"part-{i}.parquet")
    coded.configure(
        model={"task": "regression"},
        data={"path": "months/*.parquet", "target": "target", "time_column": None},
        train={"entrypoint": "model_code:price", "parameters": {"alpha": 0.1}},
        evaluate={"metrics": ["r2"], "gates": [{"metric": "mean_absolute_error", "max": 60, "max_rise": 1}]},
    )
    answer = command(coded.root, "run")
    assert answer.code == 0, answer.text
    answer = command(coded.root, "run", "--set", "train.parameters.alpha=1000")
    assert answer.code == 3
    assert "higher than the champion, 1 allowed" in answer.out


@pytest.mark.parametrize(
    ("function", "stored"),
    [("fitted", "skops"), ("with_lambda", "cloudpickle"), ("with_own_class", "skops"), ("with_nan", "skops")],
)
def test_what_an_entry_point_may_return(coded: Any, command: Command, function: str, stored: str) -> None:
    coded.configure(train={"entrypoint": f"model_code:{function}", "parameters": {}})
    for _ in range(2):  # the second is judged against the first, loaded from the registry
        answer = command(coded.root, "run", "--force")
        assert answer.code == 0, answer.text
    assert coded.record()["stages"]["train"]["model"]["format"] == stored
    assert coded.record()["stages"]["register"]["champion"] == "2"


COMMAND = """
import json, os
import mlflow, pandas as pd
from mlflow.models import infer_signature

rows = pd.read_parquet(os.environ["MODEL_CI_TRAIN_DATA"])
target, features = os.environ["MODEL_CI_TARGET"], json.loads(os.environ["MODEL_CI_FEATURES"])
cut = json.load(open(os.environ["MODEL_CI_PARAMETERS"]))["cut"]
print("rows", len(rows), "seed", os.environ["MODEL_CI_SEED"])


class Threshold(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        from scipy.special import expit
        return expit(model_input["size"].to_numpy() - cut)


example = rows[features].head()
mlflow.pyfunc.save_model(
    os.environ["MODEL_CI_MODEL_DIR"], python_model=Threshold(), pip_requirements=["mlflow"],
    signature=infer_signature(example, Threshold().predict(None, example)),
)
"""


def test_a_command_makes_the_model(project: Any, command: Command) -> None:
    import sys

    (project.root / "fit.py").write_text(COMMAND)
    train = {"entrypoint": None, "command": f"{sys.executable} fit.py", "parameters": {"cut": 0.3}}
    project.configure(train=train)
    text = (project.root / "model-ci.yaml").read_text().replace("  entrypoint: null\n", "")
    (project.root / "model-ci.yaml").write_text(text)
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    record = project.record()["stages"]
    assert record["train"]["model"]["flavor"] == "python_function"
    assert record["evaluate"]["metrics"]["roc_auc"]["challenger"] > 0.7
    # The same order, so the same area on every resample: 119 rows cannot show that no other row would be ranked otherwise.
    unsure = ["--set", "evaluate.uncertainty.inconclusive=pass"]
    answer = command(project.root, "run", "--set", "train.parameters.cut=-5", *unsure)
    assert answer.code == 0, answer.text
    assert "inconclusive" in answer.text
    labels = command(project.root, "run", "--set", "evaluate.metrics=[f1]", *unsure)
    assert labels.code == 0, labels.text
    assert project.record()["stages"]["evaluate"]["metrics"]["f1"]["challenger"] > 0.5
