-- The programme's own people and companies, what they may spend, and points that wait for their day or recipient.

-- A member of a company and the e-mail address that finds them; of several rows the newest counts.
CREATE TABLE book.person (
    partner_id INTEGER, member VARCHAR, email VARCHAR, standing SMALLINT, since DATE, file_id INTEGER, line_no INTEGER
);
-- Companies, their departments and administrators; code is null for the company itself.
CREATE TABLE book.company_unit (
    partner_id INTEGER, unit SMALLINT, code VARCHAR, name VARCHAR, standing SMALLINT, since DATE, file_id INTEGER,
    line_no INTEGER
);
-- A row for each change of a budget; the newest counts. funded: points that it was given, less what was cut; stretched:
-- what its company added to one that only warns (hard 0; 1 refuses).
CREATE TABLE book.budget (
    account_id INTEGER, partner_id INTEGER, code VARCHAR, department VARCHAR, from_day DATE, until_day DATE,
    hard SMALLINT, alerts VARCHAR, funded BIGINT, stretched BIGINT, standing SMALLINT, file_id INTEGER, line_no INTEGER
);
CREATE TABLE book.budget_alert (
    account_id INTEGER, percent SMALLINT, used BIGINT, funded BIGINT, file_id INTEGER, line_no INTEGER
);
-- What a distribution says beside its item: whose it is, where the recipient was registered when it was scheduled, and the
-- months after which its points expire, from the day on which they reach the recipient.
CREATE TABLE book.promise (item_id BIGINT, member VARCHAR, expiry_months SMALLINT, file_id INTEGER, line_no INTEGER);
