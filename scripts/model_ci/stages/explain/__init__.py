"""explain: what each input column adds to the answers."""
