"""compare-variants: an A/B test of two variants of a service."""
