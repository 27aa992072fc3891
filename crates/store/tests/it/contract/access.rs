//! Authentication, and the answers to wrong settings.

use aws_sdk_s3::config::{Credentials, Region};

use super::server::Server;
use super::verdict::{Held, Verdict, refused};

pub async fn a_wrong_secret_is_refused(server: &Server) -> Verdict {
    let known = &server.credentials;
    let token = known.session_token().map(str::to_owned);
    let wrong = Credentials::new(known.access_key_id(), "wrong", token, None, "test");
    let intruder = server.with_client(|config| config.credentials_provider(wrong));

    refused(intruder.list("").send().await, &["SignatureDoesNotMatch"])?;
    Ok(Held)
}

pub async fn an_unknown_key_id_is_refused(server: &Server) -> Verdict {
    let secret = server.credentials.secret_access_key();
    let wrong = Credentials::new("AKIAQQQQQQQQQQQQQQQQ", secret, None, None, "test");
    let intruder = server.with_client(|config| config.credentials_provider(wrong));

    refused(intruder.list("").send().await, &["InvalidAccessKeyId"])?;
    Ok(Held)
}

pub async fn a_signature_for_another_region_is_refused(server: &Server) -> Verdict {
    let region = Region::from_static("xx-astray-9");
    // Otherwise the client would call the endpoint of AWS in that region.
    let astray = server.with_client(|config| config.region(region).endpoint_url(&server.endpoint));

    refused(
        astray.list("").send().await,
        &["AuthorizationHeaderMalformed", "PermanentRedirect", "301"],
    )?;
    Ok(Held)
}

pub async fn a_missing_bucket_is_no_such_bucket(server: &Server) -> Verdict {
    let astray = Server { bucket: "s3up-bucket-that-is-not-there".to_owned(), ..server.clone() };

    refused(astray.list("").send().await, &["NoSuchBucket"])?;
    refused(astray.put("key", b"x").send().await, &["NoSuchBucket"])?;
    refused(astray.get("key").send().await, &["NoSuchBucket"])?;
    Ok(Held)
}
