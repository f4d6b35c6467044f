"""Reading command lines as bash(1) would; nothing here knows a rule."""
