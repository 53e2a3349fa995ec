-- What partners charge, where it is not what the points are worth at their landed rate, and what was expected instead.

-- An answer (answer_id, its record) that states another charge than ours, or one for which no rate was in force: then
-- ours is null. A rates file that changes what is expected of one that is not settled with yet adds a row, and the
-- newest counts. rate_file and rate_line name the rate; a refund priced as it was charged has none.
CREATE TABLE book.charge (
    answer_id BIGINT, item_id BIGINT, partner_id INTEGER, points BIGINT, rated_on DATE, currency VARCHAR, ours BIGINT,
    theirs BIGINT, tolerance BIGINT, basis_points INTEGER, rate_file INTEGER, rate_line INTEGER, file_id INTEGER,
    line_no INTEGER
);
