-- Alerts for the operator. They stay for `activity.keep_days` after their delivery.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY NOT NULL,    -- client, time and state: the same on all gateways of one database
    client TEXT NOT NULL,
    state TEXT NOT NULL,
    before TEXT NOT NULL,            -- the state before; empty for a new client
    reason TEXT NOT NULL,            -- empty if all is well
    at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    tried_at BIGINT NOT NULL,        -- last attempt to deliver it; 0: none
    delivered_at BIGINT              -- NULL: not yet
);
CREATE INDEX alerts_by_delivery ON alerts (delivered_at, at);
