"""promote: what serves elsewhere, or the challenger, becomes the champion."""
