"""Entry point of `python -m o3gym`."""

import sys

from o3gym.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
