-- The state of each client when a gateway last found a change.
CREATE TABLE client_states (
    client TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL,             -- ok, degraded, never, late, failing, silent
    since BIGINT NOT NULL
);

-- End of the last upload that stored a file.
ALTER TABLE totals ADD COLUMN last_stored_at BIGINT;
