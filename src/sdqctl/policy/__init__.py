"""What an agent's tools may do, decided beforehand: rules, paths, command lines. Starts nothing."""
