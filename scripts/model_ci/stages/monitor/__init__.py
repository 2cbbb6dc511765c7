"""monitor: the demand, errors and latency of a service, and the quality of its predictions."""
