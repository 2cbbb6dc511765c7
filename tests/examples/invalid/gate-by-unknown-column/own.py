"""A function that may judge, and one that asks for what is not there."""


def enough(rows):
    return len(rows) > 50


def wants(something):
    return True
