"""Many machines: the states of sessions in a shared store. Loaded only where one is named."""
