-- Files that `s3up retry` asked the running agent to retry.
CREATE TABLE retry_requests (
    local_path TEXT PRIMARY KEY NOT NULL
) WITHOUT ROWID;
