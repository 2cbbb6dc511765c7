"""GitHub and GitLab as services: the only caller of their HTTP APIs, to find a pull request and to comment there."""

from model_ci.forge.comments import Thread, put
from model_ci.forge.github import GitHub, Head
from model_ci.forge.gitlab import GitLab

__all__ = ["GitHub", "GitLab", "Head", "Thread", "put"]
