-- What destinations take, and what replaces what.

CREATE TABLE capabilities (
    destination TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    syntaxes TEXT NOT NULL,
    asked_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (destination, sop_class_uid));
CREATE TABLE replacements (
    destination TEXT NOT NULL,
    wanted TEXT NOT NULL,
    sent TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_at DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (destination, wanted, sent));
ALTER TABLE objects ADD COLUMN slot TEXT NOT NULL DEFAULT '';
