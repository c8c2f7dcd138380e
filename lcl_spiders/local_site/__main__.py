"""Serves a folder on loopback until it is interrupted: ``python -m lcl_spiders.local_site FOLDER [--port N]``."""

import argparse
from pathlib import Path
from threading import Event

from lcl_spiders.local_site.site import LocalSite


def main() -> None:
    """Serve the folder named on the command line, and print the site's URL."""
    parser = argparse.ArgumentParser(prog="python -m lcl_spiders.local_site", description="Serve a folder on loopback.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    arguments = parser.parse_args()
    try:
        site = LocalSite.from_folder(arguments.folder, port=arguments.port, log=False)
        site.start()
    except OSError as error:
        parser.exit(1, f"{error}\n")
    print(site.url(), flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        site.stop()


if __name__ == "__main__":
    main()
