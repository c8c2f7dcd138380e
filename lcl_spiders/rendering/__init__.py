"""Pages in a real browser: which one, shared by the crawls of a process, and what a page may do in it.

Only `handler` and `browser` import Playwright, and only crawls that render load them.
"""
