"""Every limit of the program in one place, each with its reason.

Not here: limits a layout declares for its own feed.
"""

from typing import Final

MEBIBYTE: Final = 1024 * 1024

LISTING_FILES_MAX: Final = 100_000
"""Files in one remote folder; beyond it a folder was never archived, and a listing costs seconds and memory."""

NAME_BYTES_MAX: Final = 255
"""What common file systems hold; a longer name cannot have been made by a partner's file system."""

FETCH_CHUNK_BYTES: Final = MEBIBYTE
"""Read size while fetching: memory stays bounded and hashing keeps pace with the network."""

UNPACKED_SMALL_BYTES: Final = MEBIBYTE
"""What comes to no more than this is not measured against the ratio limit: it does no harm, and packs well."""

CONNECT_TIMEOUT_S: Final = 20.0
"""TCP, banner and log-in, each. Partners' gateways answer within 5 s; 20 s tells a slow one from a dead one."""

READ_TIMEOUT_S: Final = 60.0
"""Silence on an open channel before the server counts as gone; paramiko alone would wait for ever."""

LOCK_WAIT_S: Final = 120.0
"""How long a run waits for the book. The longest posting measured (10 M rows) holds it for under a minute."""

BUSINESS_DATE_DAYS_MAX: Final = 7
"""A business date further than this from arrival is held: it is a typing error or a file from another year."""

SENSOR_BUDGET_S: Final = 30.0
"""Half of Dagster's 60 s limit for a tick, so that a slow server never loses one."""

CRM_PART_BYTES_MAX: Final = 100_000_000
"""Salesforce takes 150 MB after base64, which may add half: at most 100 MB of CSV a job."""

RUN_TRIES_MAX: Final = 3
"""Runs a sensor starts for one file before it leaves the file to a person."""

SKIPPED_NAMED_MAX: Final = 100
"""Missing files that one gap opens breaks for; a longer gap is a new numbering."""

MAIL_ANSWER_TIMEOUT_S: Final = 600.0
"""How long a mail server may take over a whole message (RFC 5321, 4.5.3.2.6): given up earlier, nobody knows whether it
took it."""

LETTERS_AT_ONCE: Final = 100
"""Letters that one record says are being handed over: what a lost disk or power may leave unsure, for three fsyncs."""

REFUSED_IN_A_ROW_MAX: Final = 20
"""Letters refused one after another before a run stops: then it is us whom the server refuses."""
