"""``python -m fsd_tools`` is ``fsdctl``."""

import sys

from fsd_tools.main import main

sys.exit(main())
