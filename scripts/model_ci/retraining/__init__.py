"""When a model is trained again: the causes, what came of it before, and the rules that keep it from running away."""
