"""How a service fares: what it counts itself, what Prometheus or CloudWatch have of it, and how good its answers were."""
