from sklearn.dummy import DummyClassifier


def build(strategy):
    return DummyClassifier(strategy=strategy)
