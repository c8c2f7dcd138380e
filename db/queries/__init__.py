"""Named SQL, one file for each subject, loaded by `db.sql.load`."""
