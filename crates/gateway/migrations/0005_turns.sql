-- The uploads that several gateways make of one path at the same time: the newest one wins. A row is deleted
-- when its newest upload has ended, or after `activity.keep_days` if that was killed.
CREATE TABLE turns (
    client TEXT NOT NULL,
    path TEXT NOT NULL,
    newest BIGINT NOT NULL,          -- a random number of the upload that began last
    begun_at BIGINT NOT NULL,
    holder BIGINT,                   -- the upload that becomes visible now
    held_until BIGINT,
    PRIMARY KEY (client, path)
);
CREATE INDEX turns_by_time ON turns (begun_at);
