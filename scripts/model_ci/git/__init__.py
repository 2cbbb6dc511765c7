"""The only caller of git: what the code is, and branches that are written without touching the user's repository.

Commits are made in a private bare repository in a temporary folder and pushed from there, so the working tree, the
index, the refs, the locks and the objects of the user's checkout stay as they are, whenever we are killed. The
private repository borrows what the checkout knows about reaching its remotes (addresses, credentials, proxies) by
environment, so no secret is written down.
"""

from model_ci.git.branch import Branch, Commit, wait
from model_ci.git.checkout import Checkout, describe
from model_ci.git.listing import changes, hash_of, tree, walk
from model_ci.git.program import withhold_tokens

__all__ = ["Branch", "Checkout", "Commit", "changes", "describe", "hash_of", "tree", "wait", "walk", "withhold_tokens"]
