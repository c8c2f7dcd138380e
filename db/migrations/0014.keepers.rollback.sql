ALTER TABLE source_boilerplate DROP COLUMN keeper;
