"""Commands for a project of guests: `COMMANDS_MODULE = "lcl_spiders.guests.commands"`; the others stay Scrapy's own."""
