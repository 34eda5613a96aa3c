-- Orders and patients heard by HL7; FHIR deliveries.

-- sqlite
-- SQLite cannot change a constraint, so the table is made anew; the ids stay, and the
-- counter too: a pruned row's id never comes again
CREATE TABLE deliveries_anew (
    id {id},
    object_id BIGINT NOT NULL REFERENCES objects (id),
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    study_uid TEXT NOT NULL,
    destination TEXT NOT NULL,
    protocol TEXT NOT NULL CHECK (protocol IN ('dicom', 'mllp', 'stow', 'fhir')),
    after_objects BOOLEAN NOT NULL,
    acknowledged TEXT,
    priority TEXT NOT NULL,
    order_at DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL CHECK
        (state IN ('available', 'executing', 'completed', 'discarded', 'cancelled')),
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
-- sqlite
INSERT INTO deliveries_anew (
    id, object_id, instance_id, study_uid, destination, protocol, after_objects,
    acknowledged, priority, order_at, due_at, state, attempt, deaths, worker, lease_until,
    claim_token, last_error, created_at, claimed_at, finished_at)
    SELECT
    id, object_id, instance_id, study_uid, destination, protocol, after_objects,
    acknowledged, priority, order_at, due_at, state, attempt, deaths, worker, lease_until,
    claim_token, last_error, created_at, claimed_at, finished_at
    FROM deliveries ORDER BY id;
-- sqlite
DELETE FROM sqlite_sequence WHERE name = 'deliveries_anew';
-- sqlite
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'deliveries_anew', seq FROM sqlite_sequence WHERE name = 'deliveries';
-- sqlite
DROP TABLE deliveries;
-- sqlite
ALTER TABLE deliveries_anew RENAME TO deliveries;
-- sqlite
CREATE INDEX deliveries_instance ON deliveries (instance_id);
-- sqlite
CREATE INDEX deliveries_unfinished ON deliveries (instance_id)
    WHERE state IN ('available', 'executing');
-- sqlite
CREATE INDEX deliveries_counted ON deliveries (created_at, destination, state);
-- sqlite
CREATE INDEX deliveries_waiting ON deliveries (order_at, id) WHERE state = 'available';
-- sqlite
CREATE INDEX deliveries_batch ON deliveries (study_uid, destination)
    WHERE state = 'available';
-- sqlite
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'executing';
-- sqlite
CREATE INDEX deliveries_dead ON deliveries (finished_at) WHERE state = 'discarded';
-- postgresql
ALTER TABLE deliveries DROP CONSTRAINT deliveries_protocol_check;
-- postgresql
ALTER TABLE deliveries ADD CONSTRAINT deliveries_protocol_check
    CHECK (protocol IN ('dicom', 'mllp', 'stow', 'fhir'));
CREATE TABLE orders (
    id {id},
    accession_number TEXT NOT NULL,
    placer_number TEXT NOT NULL,
    placer_namespace TEXT NOT NULL,
    filler_number TEXT NOT NULL,
    filler_namespace TEXT NOT NULL,
    study_uid TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    patient_issuer TEXT NOT NULL,
    priority TEXT,
    control TEXT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL);
CREATE INDEX orders_accession ON orders (accession_number);
CREATE INDEX orders_study ON orders (study_uid);
CREATE INDEX orders_placer ON orders (placer_number);
CREATE INDEX orders_filler ON orders (filler_number);
CREATE INDEX orders_kept ON orders (updated_at);
CREATE TABLE patients (
    patient_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    name TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    sex TEXT NOT NULL,
    merged_into TEXT NOT NULL,
    merged_issuer TEXT NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (patient_id, issuer));
CREATE INDEX patients_kept ON patients (updated_at);
