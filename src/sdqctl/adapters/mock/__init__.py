"""The embedded adapter: a scripted agent in-process, whose sessions persist on disk."""
