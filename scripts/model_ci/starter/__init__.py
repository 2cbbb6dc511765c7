"""The first files of a project: what is found in a repository, what is proposed for it, and the texts to write."""
