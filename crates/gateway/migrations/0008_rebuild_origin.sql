-- A rebuild is resumed only in the bucket and below the prefix in which it began, and it remembers what S3
-- did not describe. The table is made again, so a rebuild of an older version is started over.
DROP TABLE rebuilds;

CREATE TABLE rebuilds (
    client TEXT PRIMARY KEY NOT NULL,
    origin TEXT NOT NULL,            -- endpoint, bucket and prefix
    after_key TEXT,                  -- the last key that was listed; NULL: none yet
    is_listed BIGINT NOT NULL,       -- 1: the listing is complete
    not_examined BIGINT NOT NULL,    -- files about which S3 did not answer
    losses BIGINT NOT NULL,          -- those of the client when the rebuild began
    updated_at BIGINT NOT NULL
);
