-- Which archive this database speaks of: the same word stands in the archive.

CREATE TABLE archive_identity (
    identity TEXT NOT NULL PRIMARY KEY,
    noted_at DOUBLE PRECISION NOT NULL);
