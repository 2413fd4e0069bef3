"""``python -m fsd_agent`` is ``fsd-agent``."""

import sys

from fsd_agent.daemon.main import main

sys.exit(main())
