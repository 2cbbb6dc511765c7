"""How a model is fitted when it does not begin from scratch: the champion's goes on, at once or chunk by chunk."""
