-- The newest backup report of each client: the state of the backups of a btrfs host.
CREATE TABLE backup_reports (
    client TEXT PRIMARY KEY NOT NULL,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL               -- JSON, as docs/api.md describes it
);
