"""Scrapy settings: literals, no I/O.

Settings of our own (`LCL_…`) have their defaults in `pipelines.addon` and below, and are taken from the environment
under the same name.
"""

import os
from pathlib import Path

BOT_NAME = "lcl-spiders"
USER_AGENT = os.environ.get("LCL_USER_AGENT", "LCL-Spiders/0.1 (web indexer)")

SPIDER_MODULES = ["lcl_spiders.spiders"]
NEWSPIDER_MODULE = "lcl_spiders.spiders"
TEMPLATES_DIR = str(Path(__file__).with_name("templates"))
COMMANDS_MODULE = "lcl_spiders.commands"
SPIDER_LOADER_CLASS = "lcl_spiders.spiderloader.SourceSpiderLoader"

ADDONS = {"pipelines.IndexAddon": 500}
EXTENSIONS = {
    "lcl_spiders.extensions.progress.ProgressExtension": 10,
    "lcl_spiders.extensions.politeness.PolitenessExtension": 20,  # after AutoThrottle, which is at 0
    # Closed by default, and not even imported: together a fifth of a second of every start.
    "scrapy.extensions.remote_control.RemoteControl": None,
    "scrapy.extensions.telnet.TelnetConsole": None,
}
# Cookies would make a page depend on the order of the crawl; the cache would keep bodies that the index does not need.
DOWNLOADER_MIDDLEWARES = {
    "lcl_spiders.contracts.SavedPageMiddleware": 0,  # before robots.txt is asked for
    "scrapy.downloadermiddlewares.cookies.CookiesMiddleware": None,
    "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware": None,
    "lcl_spiders.downloadermiddlewares.rendering.RenderingMiddleware": 50,  # the last to see an answer
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
    "lcl_spiders.downloadermiddlewares.typed.TypedRobotsTxtMiddleware": 100,
    "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": None,
    "lcl_spiders.downloadermiddlewares.typed.TypedHttpCompressionMiddleware": 590,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    "lcl_spiders.downloadermiddlewares.typed.PatientRetryMiddleware": 550,
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": None,
    "lcl_spiders.downloadermiddlewares.typed.TypedRedirectMiddleware": 600,
}

SPIDER_CONTRACTS = {
    "lcl_spiders.contracts.SavedPageContract": 10,
    "lcl_spiders.contracts.HasFieldsContract": 20,
    "lcl_spiders.contracts.MainTextContract": 30,
    "lcl_spiders.contracts.LacksTextContract": 40,
    "lcl_spiders.contracts.LeadsToContract": 50,
}

# Polite: robots.txt is obeyed, and AutoThrottle keeps to about two requests at a time per site.
ROBOTSTXT_OBEY = True
CONCURRENT_REQUESTS = 16
CONCURRENT_ITEMS = 4  # Scrapy starts this many tasks for every response; one item comes of most
CONCURRENT_REQUESTS_PER_DOMAIN = 8
DOWNLOAD_DELAY = 0
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = 0.5
AUTOTHROTTLE_MAX_DELAY = 30
AUTOTHROTTLE_TARGET_CONCURRENCY = 2.0

# The longest delay, in seconds, that a site can ask for by 403, 429 or Crawl-delay; 0 for none.
LCL_MAX_DELAY = os.environ.get("LCL_MAX_DELAY", "30")

# Bounds of every crawl.
DEPTH_LIMIT = 0  # a source's max_depth is kept by the frontier, before a page counts as met
DOWNLOAD_MAXSIZE = 10 * 1024 * 1024
DOWNLOAD_WARNSIZE = 0
DOWNLOAD_TIMEOUT = 30
TWISTED_DNS_RESOLVER = "scrapy.resolver.CachingHostnameResolver"  # Scrapy's default knows no IPv6
REDIRECT_MAX_TIMES = 10
RETRY_TIMES = 2

COOKIES_ENABLED = False
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False

LOG_LEVEL = os.environ.get("LCL_LOG_LEVEL", "INFO")
LOG_FORMATTER = "lcl_spiders.logformatter.QuietLogFormatter"
FEED_EXPORT_ENCODING = "utf-8"
TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"

LCL_RENDER_TIMEOUT = os.environ.get("LCL_RENDER_TIMEOUT", "15")
LCL_RENDER_PAGES_AT_A_TIME = os.environ.get("LCL_RENDER_PAGES_AT_A_TIME", "4")
LCL_RENDER_PAGES_PER_CONTEXT = os.environ.get("LCL_RENDER_PAGES_PER_CONTEXT", "50")
