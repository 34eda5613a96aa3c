-- What a worker's GPU does.

ALTER TABLE heartbeats ADD COLUMN gpus TEXT NOT NULL DEFAULT '[]';
