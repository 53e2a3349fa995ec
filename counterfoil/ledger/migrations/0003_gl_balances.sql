-- What the general ledger states of its control accounts beside what our journals make of them: lines A, B, C, E and F of
-- the tie-out in minor units, credit positive (D, G and H follow), and the journals posted there by hand.

CREATE TABLE book.gl_statement (
    account VARCHAR, currency VARCHAR, as_of DATE, last_n INTEGER, per_gl BIGINT, not_posted BIGINT, by_hand BIGINT,
    per_ledger BIGINT, after_cut_off BIGINT, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.gl_by_hand (
    account VARCHAR, currency VARCHAR, reference VARCHAR, minor BIGINT, file_id INTEGER, line_no INTEGER
);
