"""What sdqctl keeps itself: the ledger of runs and steps, and the locks of sessions."""
