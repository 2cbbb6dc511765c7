"""A linear model that can learn online: chunk after chunk, without seeing the old ones again."""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flights.model import CATEGORIES

NUMBERS = [
    "distance", "weekday", "minute_of_day", "plane_age", "seats", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib",
]  # fmt: skip


def build(alpha: float) -> Pipeline:
    """Return the unfitted model: one-hot categories, scaled numbers, logistic loss by stochastic gradients."""
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        ]
    )
    return Pipeline([("columns", columns), ("linear", SGDClassifier(loss="log_loss", alpha=alpha, average=True))])
