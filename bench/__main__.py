"""``python -m bench``: the speed harness from the command line; ``history``: what history costs; ``passes``: what the
later passes cost; ``labelled``: how well answers find their requests; ``fuzz``: what damaged files do;
``shapes``: what parsing costs; ``points``: what a recipient of points costs.

Here: nothing but the call. Not here: what is measured (``run``, ``history``, ``passes``, ``labelled``, ``fuzz``,
``shapes``, ``points``).
"""

import sys

if sys.argv[1:2] == ["history"]:
    from bench.history import main as measure

    sys.exit(measure(sys.argv[2:]))

if sys.argv[1:2] == ["passes"]:
    from bench.passes import main as measure_passes

    sys.exit(measure_passes(sys.argv[2:]))

if sys.argv[1:2] == ["labelled"]:
    from bench.labelled.command import main as judge

    sys.exit(judge(sys.argv[2:]))

if sys.argv[1:2] == ["fuzz"]:
    from bench.fuzz import main as damage

    sys.exit(damage(sys.argv[2:]))

if sys.argv[1:2] == ["shapes"]:
    from bench.shapes import main as measure_shapes

    sys.exit(measure_shapes(sys.argv[2:]))

if sys.argv[1:2] == ["points"]:
    from bench.points import main as measure_points

    sys.exit(measure_points(sys.argv[2:]))

# The yardstick's own process imports nothing heavy: see there.
from bench.run import main

sys.exit(main())
