-- Callers that a person let in.

CREATE TABLE approved_callers (
    ae TEXT NOT NULL, host TEXT NOT NULL,
    approved_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (ae, host));
