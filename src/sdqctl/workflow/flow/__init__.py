"""Data within a workflow: expressions, values and their types. Loaded only by what uses them."""
