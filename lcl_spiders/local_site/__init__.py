"""A real web site on loopback, for the demo command, the tests and the benchmarks.

>>> with LocalSite({"/": "<h1>Agenda</h1>"}) as site:
...     print(site.url("/"))
"""

from lcl_spiders.local_site.page import AUTO, Drip, Page
from lcl_spiders.local_site.site import LocalSite, Request

__all__ = ["AUTO", "Drip", "LocalSite", "Page", "Request"]
