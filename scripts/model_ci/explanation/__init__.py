"""Why a model decides as it does: what each input column adds to its output, of one row and of all."""
