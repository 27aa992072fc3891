-- Which version of a file was uploaded. NULL in rows of an older agent: the
-- gateway has to confirm those.
ALTER TABLE files ADD COLUMN mtime_ns INTEGER;
ALTER TABLE files ADD COLUMN ctime_ns INTEGER;
ALTER TABLE files ADD COLUMN inode INTEGER;
ALTER TABLE files ADD COLUMN device INTEGER;
ALTER TABLE files ADD COLUMN sha256 TEXT;
ALTER TABLE files ADD COLUMN version_id TEXT;

-- Files that were there before the agent was, with scan.upload_existing: false.
CREATE TABLE baseline (
    local_path TEXT PRIMARY KEY NOT NULL,
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    device INTEGER NOT NULL
) WITHOUT ROWID;

-- Files that should be uploaded and cannot, and why.
CREATE TABLE problems (
    local_path TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,          -- Unix seconds
    config TEXT NOT NULL,            -- digest of the configuration it came up under
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    device INTEGER NOT NULL
) WITHOUT ROWID;

-- One row for each watch that was ever seen.
CREATE TABLE watch_state (
    local_path TEXT PRIMARY KEY NOT NULL,
    known_since_ns INTEGER NOT NULL, -- files changed before this moment are existing ones
    first_scan_at INTEGER,           -- first complete scan (Unix seconds)
    last_scan_at INTEGER             -- last complete scan (Unix seconds)
) WITHOUT ROWID;

-- What the running agent says of itself.
CREATE TABLE agent_state (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;
