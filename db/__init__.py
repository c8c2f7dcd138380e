"""The database: connections, migrations, and typed functions over a connection. No Scrapy in here."""
