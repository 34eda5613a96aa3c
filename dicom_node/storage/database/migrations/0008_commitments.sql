-- What peers are asked to commit to, and in which transactions.

CREATE TABLE commitments (
    id {id},
    delivery_id BIGINT NOT NULL REFERENCES deliveries (id),
    object_id BIGINT NOT NULL REFERENCES objects (id),
    instance_id BIGINT NOT NULL REFERENCES instances (id),
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('due', 'asked', 'sending', 'committed', 'given up', 'called off')
    ),
    asked INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    transaction_uid TEXT,
    due_at DOUBLE PRECISION NOT NULL,
    sent_at DOUBLE PRECISION NOT NULL,
    settled_at DOUBLE PRECISION,
    words TEXT,
    UNIQUE (delivery_id));
CREATE INDEX commitments_open ON commitments (destination, due_at)
    WHERE state IN ('due', 'asked');
CREATE INDEX commitments_object ON commitments (object_id);
CREATE INDEX commitments_instance ON commitments (instance_id);
CREATE TABLE commitment_requests (
    transaction_uid TEXT NOT NULL PRIMARY KEY,
    destination TEXT NOT NULL,
    objects INTEGER NOT NULL,
    asked_at DOUBLE PRECISION NOT NULL,
    heard_at DOUBLE PRECISION);
