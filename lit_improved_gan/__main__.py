"""``python -m lit_improved_gan``."""

import sys

from lit_improved_gan.cli import main

if __name__ == "__main__":
    sys.exit(main())
