"""Other agents over the Model Context Protocol."""
