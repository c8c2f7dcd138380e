"""Embedding by a provider's Batch API: texts that can wait a day, for half the price.

A crawl parks pages whose texts have no vector; `submit`, `poll` and `apply` bring them into the index. Every step may
be killed at any moment and be made again.
"""
