"""``python -m bench``: the speed harness from the command line; ``python -m bench history``: what history costs.

Here: nothing but the call. Not here: what is measured (``run``, ``history``).
"""

import sys

if sys.argv[1:2] == ["history"]:
    from bench.history import main as measure

    sys.exit(measure(sys.argv[2:]))

# The yardstick's own process imports nothing heavy: see there.
from bench.run import main

sys.exit(main())
