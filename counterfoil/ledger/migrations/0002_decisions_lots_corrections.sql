-- Decisions, corrections by difference, point lots and merged members; and how an item's state changed while it was open,
-- so that the working set can be derived from what is sealed.

ALTER TABLE book.posting ADD COLUMN verdict VARCHAR;
ALTER TABLE book.posting ADD COLUMN book_schema INTEGER;
ALTER TABLE book.posting ADD COLUMN sender VARCHAR;
UPDATE book.posting SET verdict = '', book_schema = 1, sender = '';

CREATE TABLE book.item_change (item_id BIGINT, state SMALLINT, remaining BIGINT, file_id INTEGER, line_no INTEGER);
CREATE TABLE book.reversal (transfer_id BIGINT, reverses BIGINT, file_id INTEGER, line_no INTEGER);
CREATE TABLE book.decision (
    action SMALLINT, subject VARCHAR, item_id BIGINT, theirs_id BIGINT, break_id VARCHAR, points BIGINT, minor BIGINT,
    reason VARCHAR, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.lot (
    lot_id BIGINT, account_id INTEGER, amount BIGINT, earned DATE, expires DATE, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.lot_use (
    lot_id BIGINT, account_id INTEGER, item_id BIGINT, use SMALLINT, amount BIGINT, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.merge (
    partner_id INTEGER, member VARCHAR, survivor VARCHAR, from_account INTEGER, to_account INTEGER, since DATE,
    file_id INTEGER, line_no INTEGER
);
-- What the passes beyond the exact key looked at: items that a record was matched with, and those it might have been.
CREATE TABLE book.match (
    file_id INTEGER, line_no INTEGER, item_id BIGINT, match_pass SMALLINT, role SMALLINT, agreed SMALLINT,
    difference BIGINT, days INTEGER
);
CREATE TABLE book.break_state (
    break_id VARCHAR, state SMALLINT, owner VARCHAR, until DATE, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.open_lot (lot_id BIGINT, account_id INTEGER, remaining BIGINT, earned DATE, expires DATE);

-- What schema 1 told only by dispositions (event 12: held by the partner), by the hold that waited for its request
-- (its settled key, state 10, lies at the line of the request; kind 5), and by breaks (code 4: an answer that waited and
-- whose points differ gives its suspense entry back).
INSERT INTO book.item_change
SELECT d.item_id, CAST(2 AS SMALLINT), abs(i.amount), d.file_id, d.line_no
FROM book.disposition d JOIN book.item i ON i.item_id = d.item_id
WHERE d.event = 12 AND i.side = 1 ORDER BY d.file_id, d.line_no;

INSERT INTO book.item_change
SELECT i.item_id, CAST(2 AS SMALLINT), abs(i.amount), k.file_id, k.line_no
FROM book.settled_key k JOIN book.item h ON h.item_id = k.item_id
JOIN book.item i ON i.item_id = (CAST(k.file_id AS BIGINT) * 2147483648) + k.line_no
WHERE k.state = 10 AND h.kind = 5 AND k.line_no > 0 AND i.side = 1 ORDER BY k.file_id, k.line_no;

INSERT INTO book.item_change
SELECT b.theirs_id, CAST(9 AS SMALLINT), CAST(0 AS BIGINT), b.file_id, b.line_no
FROM book.break b
WHERE b.code = 4 AND b.theirs_id // 2147483648 < b.file_id ORDER BY b.file_id, b.line_no;
