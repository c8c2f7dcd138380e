"""Sources as data: what a source may say, the file that lists them, and what commands show and change of them."""
