-- The table that a person's SQL and older agents know. A database that has it
-- already is taken over as it is.
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    local_path TEXT UNIQUE NOT NULL,
    remote_path TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,          -- file's mtime when uploaded (Unix seconds)
    uploaded_at INTEGER NOT NULL     -- when last uploaded (Unix seconds)
);
CREATE INDEX IF NOT EXISTS idx_files_local_path ON files(local_path);
