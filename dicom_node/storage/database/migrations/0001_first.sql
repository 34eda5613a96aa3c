-- The queue, the archive's index, results and the outbox.

CREATE TABLE instances (
    id {id},
    sop_instance_uid TEXT NOT NULL UNIQUE,
    study_uid TEXT NOT NULL,
    header TEXT NOT NULL,
    file_key TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    file_size BIGINT NOT NULL,
    calling_ae TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    host TEXT NOT NULL,
    received_at DOUBLE PRECISION NOT NULL,
    outcome TEXT,
    expired_at DOUBLE PRECISION);
CREATE INDEX instances_study ON instances (study_uid);
CREATE INDEX instances_sender ON instances (calling_ae, received_at);
CREATE INDEX instances_outcome ON instances (outcome);
CREATE INDEX instances_file ON instances (file_key);
CREATE INDEX instances_kept ON instances (received_at) WHERE expired_at IS NULL;
CREATE INDEX instances_expired ON instances (received_at) WHERE expired_at IS NOT NULL;
CREATE TABLE jobs (
    id {id},
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    pipeline TEXT NOT NULL,
    routes TEXT NOT NULL,
    priority TEXT NOT NULL,
    order_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('available', 'executing', 'completed', 'discarded', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_until DOUBLE PRECISION,
    claim_token TEXT,
    last_error TEXT,
    created_at DOUBLE PRECISION NOT NULL,
    claimed_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    CHECK (state <> 'executing' OR (worker IS NOT NULL AND lease_until IS NOT NULL)),
    UNIQUE (instance_id, pipeline));
CREATE INDEX jobs_waiting ON jobs (order_at, id) WHERE state = 'available';
-- by created_at first: led by state, SQLite would claim through it and sort
CREATE INDEX jobs_counted ON jobs (created_at, state);
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'executing';
CREATE INDEX jobs_dead ON jobs (finished_at) WHERE state = 'discarded';
CREATE TABLE results (
    id {id},
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    pipeline TEXT NOT NULL,
    version TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    findings TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (instance_id, pipeline, version, model_sha256));
CREATE TABLE objects (
    id {id},
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    kind TEXT NOT NULL CHECK (kind <> ''),
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    series_uid TEXT NOT NULL,
    file_key TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    file_size BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expired_at DOUBLE PRECISION);
CREATE INDEX objects_instance ON objects (instance_id);
CREATE INDEX objects_file ON objects (file_key);
CREATE INDEX objects_kept ON objects (created_at) WHERE expired_at IS NULL;
CREATE TABLE deliveries (
    id {id},
    object_id BIGINT NOT NULL REFERENCES objects (id),
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    study_uid TEXT NOT NULL,
    destination TEXT NOT NULL,
    protocol TEXT NOT NULL CHECK (protocol IN ('dicom', 'mllp', 'stow')),
    after_objects BOOLEAN NOT NULL,
    acknowledged TEXT,
    priority TEXT NOT NULL,
    order_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('available', 'executing', 'completed', 'discarded', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_until DOUBLE PRECISION,
    claim_token TEXT,
    last_error TEXT,
    created_at DOUBLE PRECISION NOT NULL,
    claimed_at DOUBLE PRECISION,
    finished_at DOUBLE PRECISION,
    CHECK (state <> 'executing' OR (worker IS NOT NULL AND lease_until IS NOT NULL)),
    UNIQUE (object_id, destination));
CREATE INDEX deliveries_instance ON deliveries (instance_id);
CREATE INDEX deliveries_unfinished ON deliveries (instance_id)
    WHERE state IN ('available', 'executing');
CREATE INDEX deliveries_counted ON deliveries (created_at, destination, state);
CREATE INDEX deliveries_waiting ON deliveries (order_at, id) WHERE state = 'available';
CREATE INDEX deliveries_batch ON deliveries (study_uid, destination)
    WHERE state = 'available';
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'executing';
CREATE INDEX deliveries_dead ON deliveries (finished_at) WHERE state = 'discarded';
CREATE TABLE alarms (
    id {id},
    kind TEXT NOT NULL,
    words TEXT NOT NULL,
    times INTEGER NOT NULL,
    first_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    closed_at DOUBLE PRECISION,
    UNIQUE (kind, words));
CREATE TABLE callers (
    ae TEXT NOT NULL,
    host TEXT NOT NULL,
    times INTEGER NOT NULL,
    first_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (ae, host));
