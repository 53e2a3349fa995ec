-- Vouchers: what can be ordered, what was, what was paid, and every code that ever came.

-- The newest row of a product by effective_from and place counts; denominations are minor units, rising, apart by blanks.
CREATE TABLE book.product (
    partner_id INTEGER, product VARCHAR, name VARCHAR, currency VARCHAR, denominations VARCHAR, points_per_unit BIGINT,
    quantity_max INTEGER, type VARCHAR, supply VARCHAR, expiry_days INTEGER, expiry_months INTEGER, terms VARCHAR,
    instructions VARCHAR, effective_from DATE, file_id INTEGER, line_no INTEGER
);
-- What an item of the kind order is about; product_file and product_line name the catalogue row that priced it.
CREATE TABLE book.voucher_order (
    item_id BIGINT, supplier_id INTEGER, product VARCHAR, type VARCHAR, supply VARCHAR, denomination BIGINT,
    quantity INTEGER, unit_points BIGINT, recipient VARCHAR, product_file INTEGER, product_line INTEGER,
    file_id INTEGER, line_no INTEGER
);
-- event: what the payment turned out to be; item_id is null of one for an order that the book does not know (yet).
CREATE TABLE book.voucher_payment (
    item_id BIGINT, company_id INTEGER, ref VARCHAR, payment VARCHAR, points BIGINT, minor BIGINT, currency VARCHAR,
    event SMALLINT, file_id INTEGER, line_no INTEGER
);
-- A voucher is made by the record that brought its code, and has its id. The code itself is never here: digest is keyed,
-- so that nobody can try codes on the book, and tail its last characters.
CREATE TABLE book.voucher (
    voucher_id BIGINT, supplier_id INTEGER, product VARCHAR, denomination BIGINT, digest VARCHAR, tail VARCHAR,
    file_id INTEGER, line_no INTEGER
);
-- Each step of a voucher, the last of which counts; item_id is the order that it belongs to, null while it is in stock.
CREATE TABLE book.voucher_change (
    voucher_id BIGINT, item_id BIGINT, state SMALLINT, valid_until DATE, file_id INTEGER, line_no INTEGER
);
-- Vouchers of an order that its supplier will not deliver: state 6 (refunded) where our money came back, 21 (refund due)
-- where it has not; what comes back later is taken off the one and added to the other.
CREATE TABLE book.voucher_cancel (
    item_id BIGINT, quantity INTEGER, state SMALLINT, file_id INTEGER, line_no INTEGER
);

-- Working set, derivable from voucher_change: vouchers in stock, put aside or out, each where it stands.
CREATE TABLE book.open_voucher (
    voucher_id BIGINT, item_id BIGINT, state SMALLINT, valid_until DATE, file_id INTEGER
);
