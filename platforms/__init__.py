"""The files of every CI system, generated from one description; `python -m platforms` writes them."""
