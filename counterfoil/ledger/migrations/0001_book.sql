-- The book: dimensions, append-only facts, and the working sets that are derived from them.
-- Bulk tables carry no index; uniqueness is proved inside each posting transaction.

CREATE TABLE book.migration (version INTEGER, name VARCHAR);

CREATE TABLE book.posting (
    n INTEGER, delivery INTEGER, feed VARCHAR, kind VARCHAR, partner VARCHAR, name VARCHAR, identity VARCHAR,
    epoch VARCHAR, sequence BIGINT, business_date DATE, on_day DATE, payload_sha VARCHAR, record_sha VARCHAR,
    run_id VARCHAR, actor VARCHAR, posted_at TIMESTAMP, software VARCHAR, rows_digest VARCHAR, content_head VARCHAR,
    chain_head VARCHAR
);
-- Stage 1 of the mass balance: what a file brought (line, envelope, record, accepted, quarantined) and what became
-- of its accepted records (one row a disposition).
CREATE TABLE book.mass_balance (
    file_id INTEGER, part VARCHAR, records BIGINT, net BIGINT, positive BIGINT, negative BIGINT
);
CREATE TABLE book.control (file_id INTEGER, control VARCHAR, declared BIGINT, computed BIGINT);

CREATE TABLE book.partner (partner_id INTEGER, partner VARCHAR, file_id INTEGER);
CREATE TABLE book.account (
    account_id INTEGER, kind VARCHAR, partner_id INTEGER, owner VARCHAR, unit VARCHAR, file_id INTEGER
);
CREATE TABLE book.reason (reason_id INTEGER, partner_id INTEGER, reason VARCHAR, file_id INTEGER);
CREATE TABLE book.member (partner_id INTEGER, member VARCHAR, file_id INTEGER, line_no INTEGER);
CREATE TABLE book.alias (
    partner_id INTEGER, member VARCHAR, survivor VARCHAR, since DATE, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.rate (
    basis VARCHAR, currency VARCHAR, minor BIGINT, per_points BIGINT, effective_from DATE, file_id INTEGER,
    line_no INTEGER
);
CREATE TABLE book.closed_day (
    day DATE, feed VARCHAR, status VARCHAR, files INTEGER, file_id INTEGER, line_no INTEGER
);

CREATE TABLE book.item (
    item_id BIGINT, side SMALLINT, kind SMALLINT, partner_id INTEGER, ref VARCHAR, member VARCHAR,
    source_account INTEGER, amount BIGINT, unit VARCHAR, their_amount BIGINT, their_unit VARCHAR,
    ratio_ours INTEGER, ratio_theirs INTEGER, value_date DATE, due_date DATE
);
CREATE TABLE book.settled_key (
    item_id BIGINT, state SMALLINT, confirmed BIGINT, reversed BIGINT, reason_id INTEGER, month INTEGER,
    file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.disposition (
    file_id INTEGER, line_no INTEGER, disposition SMALLINT, event SMALLINT, match_pass SMALLINT, item_id BIGINT,
    points BIGINT, reason_id INTEGER, value_date DATE
);
CREATE TABLE book.entry (
    transfer_id BIGINT, leg SMALLINT, account_id INTEGER, amount BIGINT, event SMALLINT, value_date DATE,
    accounting_date DATE, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.break (
    break_id VARCHAR, code SMALLINT, partner_id INTEGER, subject VARCHAR, occurrence INTEGER, item_id BIGINT,
    theirs_id BIGINT, points_ours BIGINT, points_theirs BIGINT, value_date DATE, their_date DATE, opened_on DATE,
    file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.break_event (
    break_id VARCHAR, event SMALLINT, code SMALLINT, on_day DATE, file_id INTEGER, line_no INTEGER
);

-- Working sets, derivable from the tables above.
CREATE TABLE book.balance (account_id INTEGER, balance BIGINT);
CREATE TABLE book.open_item (
    item_id BIGINT, side SMALLINT, kind SMALLINT, state SMALLINT, partner_id INTEGER, ref VARCHAR, member VARCHAR,
    source_account INTEGER, amount BIGINT, remaining BIGINT, value_date DATE, due_date DATE
);
CREATE TABLE book.open_break (
    break_id VARCHAR, code SMALLINT, partner_id INTEGER, subject VARCHAR, item_id BIGINT, theirs_id BIGINT
);
