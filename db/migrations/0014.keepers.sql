-- What is taken out of the pages of a kind goes on standing on one of them.
-- depends: 0013.text

-- `keeper` is the page that goes on having the unit; NULL: it left the index, and the next complete run finds another.
-- `text` is from now on the whole unit, where it is not too long: what a new keeper is given that lost it before.
ALTER TABLE source_boilerplate ADD COLUMN keeper bigint REFERENCES scraped_pages ON DELETE SET NULL;

CREATE INDEX source_boilerplate_keeper_idx ON source_boilerplate (keeper);
