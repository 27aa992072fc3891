-- `s3up-server rebuild` fills `files` from the bucket. It knows no time of the clock by which gateways order
-- versions, so its new rows have `uploaded_at` 0, and every record of a gateway replaces them. The SHA-256
-- of a row is empty where S3 does not keep it.

-- How often records of this client were lost: a rebuild during which that happened does not make the
-- catalogue complete.
ALTER TABLE clients ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;

-- The rebuilds that have not ended, so that the next run resumes them.
CREATE TABLE rebuilds (
    client TEXT PRIMARY KEY NOT NULL,
    after_key TEXT,                  -- the last key that was listed; NULL: none yet
    is_listed BIGINT NOT NULL,       -- 1: the listing is complete
    losses BIGINT NOT NULL,          -- those of the client when the rebuild began
    updated_at BIGINT NOT NULL
);

-- The paths that a rebuild has seen in the bucket. What is not among them at its end may be gone.
CREATE TABLE rebuild_paths (
    client TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (client, path)
);
