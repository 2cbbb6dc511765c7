def build():
    return {"weights": [1, 2]}
