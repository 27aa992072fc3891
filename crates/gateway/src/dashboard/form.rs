//! The body of an action: a form of a page.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use s3up_core::{Code, Size};

use crate::refusal::Refusal;
use crate::request::{body, query};

/// Maximum length of a form. The longest field is a reason of 500 characters.
const FORM_BYTES_MAX: usize = 16 << 10;

pub(super) struct Form(String);

impl Form {
    pub(super) async fn read(request: Request) -> Result<Form, Refusal> {
        // Anyone may send it, so it must arrive in time.
        let body = Body::from_stream(body::stream(request.into_body()));
        let body = to_bytes(body, FORM_BYTES_MAX).await.map_err(|err| {
            let limit = Size(FORM_BYTES_MAX as u64);
            let what = format!("expected a form of at most {limit}, found a longer or broken one");
            Refusal::new(Code::BadRequest, what).caused_by(&err)
        })?;
        let text = String::from_utf8(body.to_vec());
        let what = "expected a form in UTF-8";
        Ok(Form(text.map_err(|err| Refusal::new(Code::BadRequest, what).caused_by(&err))?))
    }

    /// Returns a field; an absent one is empty.
    pub(super) fn text(&self, name: &str) -> Result<String, Refusal> {
        Ok(query::parameter(Some(&self.0), name)?.unwrap_or_default())
    }
}
