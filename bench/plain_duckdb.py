"""The other side of the yardstick: the script that a competent engineer writes by hand when only the result counts.

Here: one hand-back file parsed, joined with the open items, booked as two-leg entries with text keys, and two CSVs.
Not here: anything else that the program does (landing, gate, quarantine, proofs, audit, journal, report, repeats).
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import duckdb

SCHEMA = """
CREATE TABLE open_item (ref VARCHAR, member VARCHAR, points BIGINT, requested_on DATE);
CREATE TABLE entry (ref VARCHAR, account VARCHAR, amount BIGINT, event VARCHAR, value_date DATE, file VARCHAR);
"""

REQUESTS = """
INSERT INTO open_item
SELECT substr(line, 2, 16), substr(line, 18, 12), CAST(substr(line, 30, 9) AS BIGINT),
       CAST(strptime(substr(line, 39, 8), '%Y%m%d') AS DATE)
FROM read_csv(?, columns = {'line': 'VARCHAR'}, header = false, delim = '\x01', quote = '', escape = '', skip = 1)
"""

ANSWERS = """
CREATE TEMP TABLE answer AS
SELECT substr(line, 2, 16) AS ref, CAST(substr(line, 30, 9) AS BIGINT) AS points,
       CAST(strptime(substr(line, 47, 8), '%Y%m%d') AS DATE) AS processed_on,
       CASE substr(line, 55, 1) WHEN 'A' THEN 'confirmed' WHEN 'R' THEN 'rejected' END AS status,
       trim(substr(line, 56, 4)) AS reason
FROM read_csv(?, columns = {'line': 'VARCHAR'}, header = false, delim = '\x01', quote = '', escape = '', skip = 1)
"""

MATCHED = """
CREATE TEMP TABLE settled AS
SELECT a.*, o.member, o.requested_on FROM answer a JOIN open_item o ON o.ref = a.ref AND o.points = a.points
"""

ENTRIES = """
INSERT INTO entry
SELECT ref, 'in_flight:bench', -points, status, processed_on, ? FROM settled
UNION ALL
SELECT ref, CASE status WHEN 'confirmed' THEN 'payable:bench' ELSE 'member:' || member END, points, status,
       processed_on, ?
FROM settled
"""

REDEMPTIONS = (
    "COPY (SELECT ref, member, status, points, requested_on, processed_on, reason FROM settled) TO '{}' (HEADER)"
)

BALANCES = """
COPY (
    SELECT account, sum(amount) AS balance, max(value_date) AS last_activity FROM entry GROUP BY account
) TO '{}' (HEADER)
"""


def prepare(book: Path, requests: Path) -> None:
    """Make the database file with the open items; not timed."""
    with duckdb.connect(str(book)) as connection:
        connection.execute(SCHEMA)
        connection.execute(REQUESTS, [str(requests)])
        connection.execute("CHECKPOINT")


def run(book: Path, handback: Path, out: Path) -> dict[str, int]:
    """Everything from the file to fsynced results; returns what was settled, to compare both sides."""
    redemptions, balances = out / "redemptions.csv", out / "balances.csv"
    with duckdb.connect(str(book)) as connection:
        connection.execute("BEGIN")
        connection.execute(ANSWERS, [str(handback)])
        connection.execute(MATCHED)
        connection.execute(ENTRIES, [handback.name, handback.name])
        connection.execute(REDEMPTIONS.format(redemptions))
        connection.execute(BALANCES.format(balances))
        settled = connection.execute("SELECT count(*), sum(points) FROM settled").fetchone()
        connection.execute("COMMIT")
    for path in (redemptions, balances, book):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    rows, points = settled or (0, 0)
    return {"settled": int(rows), "settled_points": int(points)}


def main() -> int:
    """``prepare BOOK REQUESTS`` or ``run BOOK HANDBACK OUT``; the second prints its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=("prepare", "run"))
    parser.add_argument("paths", nargs="+", type=Path)
    given = parser.parse_args()
    if given.act == "prepare":
        prepare(*given.paths)
        return 0
    start = time.perf_counter()
    found = run(*given.paths)
    seconds = time.perf_counter() - start
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump({"seconds": seconds, "peak_bytes": peak_bytes, "found": found}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
