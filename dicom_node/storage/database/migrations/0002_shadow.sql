-- Results of challengers that run in the shadow.

-- SQLite cannot change a constraint, so the table is made anew
CREATE TABLE results_2 (
    id {id},
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    pipeline TEXT NOT NULL,
    version TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT 'live' CHECK (role IN ('live', 'shadow')),
    point TEXT NOT NULL DEFAULT '',
    findings TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (instance_id, pipeline, version, model_sha256, role, point));
INSERT INTO results_2 (instance_id, pipeline, version, model_sha256, findings, created_at)
    SELECT instance_id, pipeline, version, model_sha256, findings, created_at
    FROM results ORDER BY id;
DROP TABLE results;
ALTER TABLE results_2 RENAME TO results;
CREATE INDEX results_shadow ON results (pipeline, instance_id) WHERE role = 'shadow';
