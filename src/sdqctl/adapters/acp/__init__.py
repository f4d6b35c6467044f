"""Agents that speak the Agent Client Protocol over stdio, each an adapter of its own name."""
