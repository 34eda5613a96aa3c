-- Which reading of an image a result comes from.

ALTER TABLE results ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
