def build():
    raise ValueError("no idea")
