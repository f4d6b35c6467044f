"""`sdqctl ui`: all sessions on one screen. It shows, and what it does others do for it."""
