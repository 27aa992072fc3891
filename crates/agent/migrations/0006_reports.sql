-- Files that were uploaded on each day (UTC).
CREATE TABLE days (
    day TEXT PRIMARY KEY NOT NULL,   -- 2026-01-31
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    last_at INTEGER NOT NULL         -- last upload (Unix seconds)
) WITHOUT ROWID;

-- Daily reports. An unsent one is kept until the gateway takes it.
CREATE TABLE reports (
    day TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL,              -- JSON of POST /report
    sent_at INTEGER                  -- Unix seconds
) WITHOUT ROWID;
