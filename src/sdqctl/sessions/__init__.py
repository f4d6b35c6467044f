"""What is done over sessions: finding, listing, showing, deleting. Knows no live runtime."""
