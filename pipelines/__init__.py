"""What happens to an item: dedup, unchanged, chunking, embedding, upsert."""

from pipelines.addon import IndexAddon

__all__ = ["IndexAddon"]
