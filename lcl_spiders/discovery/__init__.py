"""Finding sources: candidates are probed, judged from evidence, and stored (B6, B15)."""
