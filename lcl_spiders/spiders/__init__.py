"""One file for each source that needs code of its own."""
