"""evaluate: judge the model by its gates, beside the champion."""
