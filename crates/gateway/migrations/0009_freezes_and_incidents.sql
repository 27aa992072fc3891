-- Clients whose uploads an operator has stopped. A client that is released has no row.
CREATE TABLE freezes (
    client TEXT PRIMARY KEY NOT NULL,
    since BIGINT NOT NULL,
    reason TEXT NOT NULL             -- empty: none was given
);

-- Incidents that have begun and are not over. Each begins and ends once, whatever number of gateways sees it.
CREATE TABLE incidents (
    topic TEXT NOT NULL,             -- quota, changes, drill, authentication, certificate, versions
    subject TEXT NOT NULL,           -- the client, gateway or bucket
    since BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (topic, subject)
);

-- The topic of an alert: the state of a client, an incident, or the daily report.
ALTER TABLE alerts ADD COLUMN topic TEXT NOT NULL DEFAULT 'state';

-- Buckets that were once seen to keep versions.
CREATE TABLE versioned_buckets (
    bucket TEXT PRIMARY KEY NOT NULL,
    seen_at BIGINT NOT NULL
);

-- When the content of a file was last replaced, and when before that.
ALTER TABLE files ADD COLUMN replaced_at BIGINT;
ALTER TABLE files ADD COLUMN previous_replaced_at BIGINT;

-- The changes of the files of a client in ten minutes, for two days.
CREATE TABLE changes (
    client TEXT NOT NULL,
    period BIGINT NOT NULL,          -- its begin
    replaced BIGINT NOT NULL,        -- known files, each of them once within an hour
    emptied BIGINT NOT NULL,         -- those of them that are empty now and were not
    created BIGINT NOT NULL,
    unfamiliar BIGINT NOT NULL,      -- created ones with an extension that the client had not used before
    PRIMARY KEY (client, period)
);
CREATE INDEX changes_by_time ON changes (period);

-- The extensions that files of a client have had.
CREATE TABLE extensions (
    client TEXT NOT NULL,
    extension TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    PRIMARY KEY (client, extension)
);

-- The clients as the daily report of a day showed them, for the next one.
CREATE TABLE reported_clients (
    day TEXT NOT NULL,
    client TEXT NOT NULL,
    state TEXT NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (day, client)
);
