"""The flight-delay model."""
