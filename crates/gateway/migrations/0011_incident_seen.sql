-- When a gateway last saw that an incident of itself or of its bucket is not over. One that no gateway sees any
-- more, because that gateway is gone or has another bucket, ends.
ALTER TABLE incidents ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
