from sklearn.dummy import DummyClassifier


def build():
    return DummyClassifier()
