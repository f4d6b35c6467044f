"""Drives a plan through a session. The only writer of the ledger's runs and steps."""
