-- What is counted and watched. `counted` says what of a row stands in `tallies` already,
-- so that nothing is counted twice and pruning takes nothing away.

ALTER TABLE instances ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX instances_unreceived ON instances (id) WHERE counted = 0;
CREATE INDEX instances_unsettled ON instances (id)
    WHERE counted = 1 AND outcome IS NOT NULL;
CREATE INDEX jobs_uncounted ON jobs (id) WHERE counted = 0 AND state = 'completed';
CREATE INDEX deliveries_uncounted ON deliveries (id)
    WHERE counted = 0 AND state = 'completed';
CREATE TABLE tallies (
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, labels));
CREATE TABLE heartbeats (
    worker TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    resident_bytes BIGINT NOT NULL,
    open_files INTEGER NOT NULL,
    models TEXT NOT NULL);
CREATE TABLE disk_samples (
    hour BIGINT NOT NULL PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    free_bytes BIGINT NOT NULL);
CREATE TABLE score_references (
    pipeline TEXT NOT NULL,
    version TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    finding TEXT NOT NULL,
    scores TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    psi DOUBLE PRECISION,
    measured_at DOUBLE PRECISION,
    PRIMARY KEY (pipeline, version, model_sha256, finding));
