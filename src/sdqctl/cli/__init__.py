"""The command line: thin commands over functions that know no click."""
