"""The GitHub Copilot runtime. Its SDK is loaded for live sessions only."""
