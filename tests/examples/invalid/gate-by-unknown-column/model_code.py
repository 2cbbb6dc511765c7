from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def build():
    return make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
