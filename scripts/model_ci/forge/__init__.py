"""GitHub and GitLab as services: the only caller of their HTTP APIs, and of the addresses of a chat and a watcher."""

from model_ci.forge.comments import Thread, put
from model_ci.forge.github import GitHub, Head
from model_ci.forge.gitlab import GitLab
from model_ci.forge.issues import Tracker, raise_issue, settle
from model_ci.forge.webhook import HEARTBEAT, WEBHOOK, beat, tell

__all__ = [
    "HEARTBEAT",
    "WEBHOOK",
    "GitHub",
    "GitLab",
    "Head",
    "Thread",
    "Tracker",
    "beat",
    "put",
    "raise_issue",
    "settle",
    "tell",
]
