"""What `run`, `resume` and `apply` share: from options to a running workflow and its result."""
