"""`sdqctl sessions` and its commands."""
