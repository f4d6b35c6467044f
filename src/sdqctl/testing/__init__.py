"""For tests, demos and authors of adapters: a scripted model on loopback, a contract suite."""
