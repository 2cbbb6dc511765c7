"""What deploy, promote and rollback share: the policy, the trial of a version, and the change itself."""
