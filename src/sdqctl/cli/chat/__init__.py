"""The interactive conversation of `sdqctl resume NAME` on a terminal."""
