-- Messages that stand by until another is acknowledged.

CREATE TABLE escalations (
    id {id},
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    study_uid TEXT NOT NULL,
    message_id BIGINT NOT NULL REFERENCES objects (id),
    place INTEGER NOT NULL,
    object_id BIGINT NOT NULL REFERENCES objects (id),
    destination TEXT NOT NULL,
    due_at DOUBLE PRECISION NOT NULL,
    fate TEXT NOT NULL CHECK (fate IN ('waiting', 'sent', 'called off')),
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (message_id, destination));
CREATE INDEX escalations_waiting ON escalations (message_id) WHERE fate = 'waiting';
CREATE INDEX escalations_instance ON escalations (instance_id);
