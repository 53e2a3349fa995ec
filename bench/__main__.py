"""``python -m bench``: the speed harness from the command line.

Here: nothing but the call. Not here: what is measured (``run``).
"""

import sys

from bench.run import main

sys.exit(main())
