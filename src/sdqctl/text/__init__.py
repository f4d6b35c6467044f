"""Plain functions over text that every room may use."""
