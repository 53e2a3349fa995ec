"""Every error the program raises on purpose: its code, its message form and whether a retry can help.

Here: the code list and three exception types. Not here: when to raise them, or how a caller shows them.
"""

from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """Stable message codes; the text beside each is what the reference page prints."""

    summary: str

    def __new__(cls, code: str, summary: str) -> "Code":
        member = str.__new__(cls, code)
        member._value_ = code
        member.summary = summary
        return member

    # Arrival
    HOST_KEY_UNKNOWN = "HOST_KEY_UNKNOWN", "the server's host key is not pinned for this connection"
    HOST_KEY_CHANGED = "HOST_KEY_CHANGED", "the server shows another host key than the pinned one"
    CERTIFICATE_INVALID = "CERTIFICATE_INVALID", "a server's certificate cannot be verified"
    LOGIN_REFUSED = "LOGIN_REFUSED", "the server refused the user, password or key"
    SECRET_MISSING = "SECRET_MISSING", "no password or key is configured for a connection"
    SECRET_EXPOSED = "SECRET_EXPOSED", "a secret file can be read by other accounts"
    CONNECTION_LOST = "CONNECTION_LOST", "the server could not be reached or went away"
    REMOTE_MISSING = "REMOTE_MISSING", "a remote file or folder is not there"
    REMOTE_REFUSED = "REMOTE_REFUSED", "the server refused an operation"
    FILE_MOVED = "FILE_MOVED", "a remote file changed while it was being fetched"
    FILE_CUT_SHORT = "FILE_CUT_SHORT", "fewer bytes arrived than the server announced"
    NAME_UNSAFE = "NAME_UNSAFE", "a name sent by a server cannot be trusted as a name"
    FILE_TOO_LARGE = "FILE_TOO_LARGE", "a file is larger than its limit"
    LISTING_TOO_LONG = "LISTING_TOO_LONG", "a folder holds more files than the limit"
    DISK_FULL = "DISK_FULL", "there was no room to write"
    DISK_FAULT = "DISK_FAULT", "the disk did not take what was written"
    OUT_OF_MEMORY = "OUT_OF_MEMORY", "there was not enough memory"
    PAYLOAD_DAMAGED = "PAYLOAD_DAMAGED", "bytes in the landing store do not have the hash they are kept under"
    SIDECAR_DAMAGED = "SIDECAR_DAMAGED", "a record in the landing store cannot be read"
    INDEX_BUSY = "INDEX_BUSY", "another process holds the arrival index"
    INDEX_UNUSABLE = "INDEX_UNUSABLE", "the arrival index is damaged or was written by a newer program"
    # Wrappers
    PACKING_DAMAGED = "PACKING_DAMAGED", "a file is not packed as its layout says, or is damaged"
    UNPACKED_TOO_LARGE = "UNPACKED_TOO_LARGE", "a packed file comes to more than its limits"
    MEMBER_UNFIT = "MEMBER_UNFIT", "an archive is empty, or holds what is no plain file with a name of its own"
    COMPANION_DIFFERS = "COMPANION_DIFFERS", "a file is not what its check sum, control file or manifest says"
    WRAPPING_DIFFERS = "WRAPPING_DIFFERS", "a file was not wrapped as the layout says that claims it"
    GPG_UNUSABLE = "GPG_UNUSABLE", "the gpg program is missing or does not work"
    PGP_KEY_MISSING = "PGP_KEY_MISSING", "a key that opens or proves files is missing or out of date here"
    DECRYPTION_FAILED = "DECRYPTION_FAILED", "an encrypted file cannot be decrypted"
    SIGNATURE_MISSING = "SIGNATURE_MISSING", "a file that must be signed is not"
    SIGNATURE_INVALID = "SIGNATURE_INVALID", "a signature does not fit its file, or has expired"
    SIGNER_UNTRUSTED = "SIGNER_UNTRUSTED", "a file is signed by another key than the pinned ones, or by a revoked one"
    # Recognition and identity
    FILE_UNCLAIMED = "FILE_UNCLAIMED", "no layout claims the file"
    FILE_AMBIGUOUS = "FILE_AMBIGUOUS", "more than one layout claims the file"
    CORRECTION_HELD = "CORRECTION_HELD", "other content arrived under an identity that was already posted"
    RENAMED_REPLAY_HELD = "RENAMED_REPLAY_HELD", "content that was already posted arrived under another identity"
    FILE_NAME_USED = "FILE_NAME_USED", "other content arrived under a file name that counts once"
    SEQUENCE_GAP = "SEQUENCE_GAP", "the file before this one has not been posted"
    BUSINESS_DATE_FAR = "BUSINESS_DATE_FAR", "a business date is too far from the day of arrival"
    # Parsing
    LAYOUT_INVALID = "LAYOUT_INVALID", "a layout file is not valid"
    FILE_EMPTY = "FILE_EMPTY", "a file has no bytes"
    HEADER_MISSING = "HEADER_MISSING", "the header is missing or is not the declared one"
    ENVELOPE_INVALID = "ENVELOPE_INVALID", "a header or trailer value cannot be read"
    CONTROL_TOTAL_WRONG = "CONTROL_TOTAL_WRONG", "a count or total in the file differs from its records"
    UNREADABLE_AMOUNTS = "UNREADABLE_AMOUNTS", "some amounts cannot be read and the layout holds such files"
    REJECT_RATE_HIGH = "REJECT_RATE_HIGH", "more rows are unreadable than the layout allows"
    ROWS_TOO_MANY = "ROWS_TOO_MANY", "a file holds more rows than its limit"
    GATE_PROOF_FAILED = "GATE_PROOF_FAILED", "accepted rows break the contract of their table"
    # The book
    BOOK_BUSY = "BOOK_BUSY", "another process holds the book"
    BOOK_NEWER = "BOOK_NEWER", "the book was written by a newer program"
    BOOK_DAMAGED = "BOOK_DAMAGED", "the book and what was published about it disagree"
    MIGRATION_FAILED = "MIGRATION_FAILED", "the book could not be brought to the schema of this program"
    POSTING_UNPROVED = "POSTING_UNPROVED", "a proof inside the posting transaction failed"
    POSTING_DIFFERS = "POSTING_DIFFERS", "a posting that was recorded cannot be made again as recorded"
    RULES_INVALID = "RULES_INVALID", "the posting rules, the chart or a target mapping are not valid"
    DECISION_UNFIT = "DECISION_UNFIT", "a decision does not fit what it decides on"
    APPROVAL_NEEDED = "APPROVAL_NEEDED", "a second person must approve a file before it takes effect"
    FILE_DISCARDED = "FILE_DISCARDED", "a person decided that a file does not count"
    COMPANY_UNKNOWN = "COMPANY_UNKNOWN", "a file moves points of a company that is not open"
    POINTS_SHORT = "POINTS_SHORT", "a company's balance or budget does not cover a whole file"
    CODE_USED = "CODE_USED", "a voucher code came before"
    RATE_MISSING = "RATE_MISSING", "no rate is in force for a unit that must be valued"
    BATCH_TAKEN = "BATCH_TAKEN", "another run has taken the postings that were to be handed on"
    MASS_BALANCE = "MASS_BALANCE", "rows or points are not accounted for"
    BACKUP_DAMAGED = "BACKUP_DAMAGED", "a backup is not whole, or not as it was made"
    # Mail
    CAMPAIGN_INVALID = "CAMPAIGN_INVALID", "a campaign or one of its templates is not valid"
    MAIL_DEFERRED = "MAIL_DEFERRED", "the mail server put letters off"
    MAIL_REFUSED = "MAIL_REFUSED", "letters were refused for good"
    MAIL_UNSURE = "MAIL_UNSURE", "it is not known whether letters went out"
    # Use
    SETTINGS_INVALID = "SETTINGS_INVALID", "the settings file is not valid"
    FOLDER_TAKEN = "FOLDER_TAKEN", "a folder holds something else than the command expects"
    DATE_OUTSIDE = "DATE_OUTSIDE", "a date lies outside the days this program keeps"
    NOTHING_FOUND = "NOTHING_FOUND", "what was asked for does not exist"


class CounterfoilError(Exception):
    """An expected failure.

    Reads ``CODE where: found. Expected …. What to do. Permanent|Transient.`` in terminal, log and Dagster alike.
    Texts never hold row values, names of people or secrets: line numbers and codes instead.
    """

    permanent: ClassVar[bool]
    exit_status: ClassVar[int]

    def __init__(self, code: Code, where: str, *, found: str, expected: str, remedy: str) -> None:
        self.code = code
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy
        verdict = "Permanent: a retry cannot help." if self.permanent else "Transient: try again."
        super().__init__(f"{code} {where}: {found}. Expected {expected}. {remedy}. {verdict}")


class PermanentError(CounterfoilError):
    """The data, the set-up or a decision must change first; never retried."""

    permanent = True
    exit_status = 1


class UsageError(PermanentError):
    """The command or its settings were wrong."""

    exit_status = 2


class TransientError(CounterfoilError):
    """The same call may succeed later; the only errors that are retried."""

    permanent = False
    exit_status = 3
