-- The size of the version that the newest one replaced, so that the change of a total is known from
-- the row itself, whichever gateway wrote the version before.
ALTER TABLE files ADD COLUMN previous_size BIGINT;

-- The files of each client, for its quota. Written in the same transactions as `files`.
CREATE TABLE totals (
    client TEXT PRIMARY KEY NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);

INSERT INTO totals (client, files, bytes)
    SELECT client, count(*), sum(size) FROM files GROUP BY client;
