//! Time limits of uploads. Those of all other calls are in `s3up_gateway_client`.

use std::time::Duration;

pub(super) use s3up_gateway_client::timeouts::IDLE;

/// Seconds that the gateway takes at most before it continues or answers an upload: it waits for a
/// buffer, and then makes up to [`GATEWAY_REQUESTS`] requests to S3 in a row.
const GATEWAY_MAX: u64 = GATEWAY_BUFFER + GATEWAY_REQUESTS * (GATEWAY_RETRIES + S3_ANSWER);
/// Seconds that an upload waits for a free buffer of the gateway.
const GATEWAY_BUFFER: u64 = 10;
/// Start of a multipart upload, a part, and its completion.
const GATEWAY_REQUESTS: u64 = 3;
/// Seconds for which the gateway repeats a request that fails.
const GATEWAY_RETRIES: u64 = 30;
/// Seconds that the last of them may take.
const S3_ANSWER: u64 = 60;

/// Longest time without progress of an upload. It is longer than the gateway needs in the worst
/// case; otherwise the file would be hashed and sent again although its part is on the way.
pub(super) const UPLOAD_IDLE: Duration = Duration::from_secs(GATEWAY_MAX + 20);

#[cfg(test)]
mod tests {
    use s3up_gateway_client::timeouts::{CONNECT, KEEPALIVE, PEER_GONE};

    use super::*;

    #[test]
    fn each_layer_is_more_patient_than_the_one_below() {
        let s3 = Duration::from_secs(GATEWAY_RETRIES + S3_ANSWER);
        let gateway = Duration::from_secs(GATEWAY_MAX);
        let layers = [PEER_GONE, s3, IDLE, gateway, UPLOAD_IDLE];
        assert!(layers.is_sorted(), "{layers:?}");
        assert!(KEEPALIVE < PEER_GONE && CONNECT < IDLE);
    }
}
