"""The schema as plain SQL, each file with its way back beside it."""
