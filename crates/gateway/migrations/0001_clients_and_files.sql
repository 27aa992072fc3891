-- One dialect for SQLite and PostgreSQL: TEXT and BIGINT only.
-- Every *_at is in Unix milliseconds, every day is text like 2026-01-31, both in UTC.
-- S3 is the truth about files. These tables add what S3 does not know.

CREATE TABLE clients (
    client TEXT PRIMARY KEY NOT NULL,
    created_at BIGINT NOT NULL,      -- when a gateway first had it in its configuration
    last_seen_at BIGINT              -- last request with a valid key; NULL: never
);

CREATE TABLE keys (
    key_sha256 TEXT PRIMARY KEY NOT NULL,
    client TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);

-- The catalogue: the newest version of each file that a gateway stored.
CREATE TABLE files (
    client TEXT NOT NULL,
    path TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    mtime_ns BIGINT,
    mode BIGINT,
    etag TEXT NOT NULL,
    version_id TEXT,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (client, path)
);

CREATE TABLE uploads (
    client TEXT NOT NULL,
    path TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    elapsed_ms BIGINT NOT NULL,
    size BIGINT,                     -- NULL: the upload ended before it was known
    result TEXT NOT NULL             -- stored, unchanged, cancelled, or the code of a refusal
);
CREATE INDEX uploads_by_client ON uploads (client, started_at);
CREATE INDEX uploads_by_time ON uploads (started_at);

CREATE TABLE activity (
    client TEXT NOT NULL,
    day TEXT NOT NULL,
    stored BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    downloads BIGINT NOT NULL,
    downloaded_bytes BIGINT NOT NULL,
    PRIMARY KEY (client, day)
);
CREATE INDEX activity_by_day ON activity (day);

-- The last heartbeat of each client.
CREATE TABLE heartbeats (
    client TEXT PRIMARY KEY NOT NULL,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL               -- JSON, as docs/api.md describes it
);

CREATE TABLE reports (
    client TEXT NOT NULL,
    day TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (client, day)
);
CREATE INDEX reports_by_day ON reports (day);

-- The last batch that each run of a gateway committed, so that a batch whose commit was not
-- answered is not written twice.
CREATE TABLE batches (
    writer TEXT PRIMARY KEY NOT NULL,
    batch BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);
