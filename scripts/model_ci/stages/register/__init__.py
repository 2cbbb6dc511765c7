"""register: the model becomes a version, and aliases move."""
