-- Alerts for the operator, and their deliveries. They stay for `activity.keep_days`.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY NOT NULL,    -- client, time and state: the same on all gateways of one database
    client TEXT NOT NULL,
    state TEXT NOT NULL,
    before TEXT NOT NULL,            -- the state before; empty for a new client
    reason TEXT NOT NULL,            -- empty if all is well
    at BIGINT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (at);

-- The attempts to deliver an alert by one channel; no row: none yet.
CREATE TABLE deliveries (
    alert TEXT NOT NULL,
    channel TEXT NOT NULL,           -- webhook, mail
    attempts BIGINT NOT NULL,
    tried_at BIGINT NOT NULL,
    delivered_at BIGINT,             -- NULL: not yet
    PRIMARY KEY (alert, channel)
);
