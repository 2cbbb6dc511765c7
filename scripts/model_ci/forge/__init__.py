"""GitHub and GitLab as services: the only caller of their HTTP APIs, to comment, to open issues, and of a chat's webhook."""

from model_ci.forge.comments import Thread, put
from model_ci.forge.github import GitHub, Head
from model_ci.forge.gitlab import GitLab
from model_ci.forge.issues import Tracker, raise_issue, settle
from model_ci.forge.webhook import NAME as WEBHOOK
from model_ci.forge.webhook import tell

__all__ = ["WEBHOOK", "GitHub", "GitLab", "Head", "Thread", "Tracker", "put", "raise_issue", "settle", "tell"]
