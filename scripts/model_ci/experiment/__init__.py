"""An A/B test of two variants of a service: what differs between them, and when enough is known to decide."""
