"""The operating system's net behind the policy: what a started process can reach at all."""
