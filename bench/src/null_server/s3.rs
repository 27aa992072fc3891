//! The requests of S3 and their responses.

use std::ops::Range;
use std::sync::Arc;

use super::body::Body;
use super::http::{Connection, ConnectionError, Request};
use super::state::{Object, Part, State, Upload};
use super::xml;

/// The same time as [`xml::LAST_MODIFIED_XML`].
const LAST_MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const CRC64NVME: &str = "x-amz-checksum-crc64nvme";
const LISTED_MAX: usize = 1000;

/// Reads or discards the body of a request and sends the response.
pub fn answer(
    request: &Request,
    connection: &mut Connection,
    state: &State,
) -> Result<(), ConnectionError> {
    let mut exchange = Exchange { request, connection, state };
    match (request.method.as_str(), request.path.split_once('/')) {
        (_, None | Some((_, ""))) => exchange.bucket(),
        ("PUT", Some(_)) if request.parameter("partNumber").is_some() => exchange.put_part(),
        ("PUT", Some(_)) => exchange.put(),
        ("POST", Some((bucket, key))) if request.parameter("uploads").is_some() => {
            exchange.create_upload(bucket, key)
        }
        ("POST", Some((bucket, key))) => exchange.complete_upload(bucket, key),
        ("GET", Some(_)) if request.parameter("uploadId").is_some() => exchange.list_parts(),
        ("GET" | "HEAD", Some(_)) => exchange.get(),
        ("DELETE", Some(_)) => exchange.delete(),
        (_, Some(_)) => exchange.fail(405, "MethodNotAllowed"),
    }
}

struct Exchange<'a> {
    request: &'a Request,
    connection: &'a mut Connection,
    state: &'a State,
}

impl Exchange<'_> {
    fn bucket(&mut self) -> Result<(), ConnectionError> {
        let has = |name| self.request.parameter(name).is_some();
        let document = match self.request.method.as_str() {
            "POST" if has("delete") => return self.delete_many(),
            "GET" if has("versioning") => xml::versioning(),
            "GET" if has("location") => xml::location(),
            "GET" if has("uploads") => xml::uploads(),
            "GET" => self.listing(),
            _ => String::new(),
        };
        self.succeed(&[], &document)
    }

    fn listing(&self) -> String {
        let parameter = |name| self.request.parameter(name).unwrap_or_default();
        let bucket = self.request.path.split('/').next().unwrap_or_default();
        let count_max =
            parameter("max-keys").parse().map_or(LISTED_MAX, |count: usize| count.min(LISTED_MAX));
        let start = format!("{bucket}/{}", parameter("prefix"));
        // The first listing of S3 has `marker`; rclone uses it with servers that it does not know.
        let after = ["continuation-token", "start-after", "marker"].map(parameter);
        let after = format!("{bucket}/{}", after.into_iter().max().unwrap_or_default());
        let objects = self.state.objects();
        let below_prefix =
            objects.range(start.clone()..).take_while(|(path, _)| path.starts_with(&start));
        let rest = below_prefix.filter(|(path, _)| **path > after);
        let mut page: Vec<_> = rest
            .take(count_max + 1)
            .map(|(path, object)| (path[bucket.len() + 1..].to_owned(), Arc::clone(object)))
            .collect();
        let is_truncated = page.len() > count_max;
        page.truncate(count_max);
        let next = page.last().filter(|_| is_truncated).map(|(key, _)| key.clone());
        xml::listing(&page, next.as_deref())
    }

    fn delete_many(&mut self) -> Result<(), ConnectionError> {
        let body = self.connection.read_body(self.request.body_bytes)?;
        let bucket = self.request.path.trim_end_matches('/');
        for key in xml::keys_to_delete(&String::from_utf8_lossy(&body)) {
            self.state.objects().remove(&format!("{bucket}/{key}"));
        }
        self.reply(200, &[], &xml::deleted())
    }

    fn put(&mut self) -> Result<(), ConnectionError> {
        let body = self.body()?;
        let etag = self.state.new_etag();
        let object = Object {
            etag: etag.clone(),
            bytes: self.decoded_bytes(),
            body: body.into_iter().collect(),
            headers: stored_headers(self.request),
        };
        let path = &self.request.path;
        let mut objects = self.state.objects();
        if !self.condition_holds(objects.get(path).map(Arc::as_ref)) {
            drop(objects);
            return self.reply(412, &[], &xml::error("PreconditionFailed"));
        }
        objects.insert(path.clone(), Arc::new(object));
        drop(objects);
        let headers = self.echo(etag);
        self.reply(200, &headers, "")
    }

    fn condition_holds(&self, existing: Option<&Object>) -> bool {
        let is_new = self.request.header("if-none-match").is_none() || existing.is_none();
        let etag = existing.map(|object| object.etag.as_str());
        is_new && self.request.header("if-match").is_none_or(|expected| etag == Some(expected))
    }

    fn put_part(&mut self) -> Result<(), ConnectionError> {
        let body = self.body()?;
        let etag = self.state.new_etag();
        let number = self.request.parameter("partNumber").and_then(|text| text.parse().ok());
        let Some(number) = number else { return self.reply(400, &[], &xml::error("InvalidPart")) };
        let part = Part {
            etag: etag.clone(),
            bytes: self.decoded_bytes(),
            body,
            crc64nvme: self.request.header(CRC64NVME).map(str::to_owned),
        };
        match self.state.uploads().get_mut(self.upload_id()) {
            Some(upload) => upload.parts.insert(number, part),
            None => return self.reply(404, &[], &xml::error("NoSuchUpload")),
        };
        let headers = self.echo(etag);
        self.reply(200, &headers, "")
    }

    /// Returns the body, or `None` if it was discarded.
    fn body(&mut self) -> Result<Option<Body>, ConnectionError> {
        let bytes = self.request.body_bytes;
        if !self.state.stores_body(&self.request.path) {
            self.connection.discard_body(bytes)?;
            return Ok(None);
        }
        let encoding = self.request.header("content-encoding").unwrap_or_default();
        if encoding.contains("aws-chunked") {
            return Err(ConnectionError::Protocol("cannot store a body in aws-chunked encoding"));
        }
        Ok(Some(Body::store(self.connection.read_body(bytes)?)?))
    }

    /// Returns the length of the body without the framing of `aws-chunked`.
    fn decoded_bytes(&self) -> u64 {
        let announced = self.request.header("x-amz-decoded-content-length");
        announced.and_then(|text| text.parse().ok()).unwrap_or(self.request.body_bytes)
    }

    fn echo(&self, etag: String) -> Vec<(&'static str, String)> {
        let mut headers = vec![("etag", etag)];
        if let Some(crc) = self.request.header(CRC64NVME) {
            headers.push((CRC64NVME, crc.to_owned()));
        }
        headers
    }

    fn upload_id(&self) -> &str {
        self.request.parameter("uploadId").unwrap_or_default()
    }

    fn create_upload(&mut self, bucket: &str, key: &str) -> Result<(), ConnectionError> {
        let id = self.state.new_etag().trim_matches('"').to_owned();
        let upload = Upload { headers: stored_headers(self.request), ..Upload::default() };
        self.state.uploads().insert(id.clone(), upload);
        self.succeed(&[], &xml::created(bucket, key, &id))
    }

    fn complete_upload(&mut self, bucket: &str, key: &str) -> Result<(), ConnectionError> {
        self.connection.discard_body(self.request.body_bytes)?;
        let Some(mut upload) = self.state.uploads().remove(self.upload_id()) else {
            return self.reply(404, &[], &xml::error("NoSuchUpload"));
        };
        let crc = self.request.header(CRC64NVME);
        upload.headers.extend(crc.map(|crc| (CRC64NVME.to_owned(), crc.to_owned())));
        let etag = self.state.new_etag();
        let object = upload.into_object(etag.clone());
        self.state.objects().insert(self.request.path.clone(), Arc::new(object));
        self.reply(200, &[], &xml::completed(bucket, key, &etag, crc))
    }

    fn list_parts(&mut self) -> Result<(), ConnectionError> {
        let marker = self.request.parameter("part-number-marker");
        let after = marker.and_then(|text| text.parse().ok()).unwrap_or(0);
        let uploads = self.state.uploads();
        let listed = uploads.get(self.upload_id()).map(|up| xml::parts(up, after, LISTED_MAX));
        drop(uploads);
        match listed {
            Some(document) => self.succeed(&[], &document),
            None => self.fail(404, "NoSuchUpload"),
        }
    }

    fn get(&mut self) -> Result<(), ConnectionError> {
        let Some(object) = self.state.object(&self.request.path) else {
            return self.fail(404, "NoSuchKey");
        };
        let is_head = self.request.method == "HEAD";
        if !is_head && object.body.is_empty() && object.bytes > 0 {
            return Err(ConnectionError::Protocol(
                "cannot serve a body that was discarded; start the server with --keep",
            ));
        }
        let range = self.request.header("range").and_then(|text| range(text, object.bytes));
        let mut headers: Vec<(&str, String)> = object
            .headers
            .iter()
            .filter(|(name, _)| range.is_none() || name != CRC64NVME)
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        headers.push(("etag", object.etag.clone()));
        headers.push(("last-modified", LAST_MODIFIED.to_owned()));
        let status = if range.is_some() { 206 } else { 200 };
        if let Some(Range { start, end }) = range {
            let total = object.bytes;
            headers.push(("content-range", format!("bytes {start}-{}/{total}", end - 1)));
        }
        let range = range.unwrap_or(0..object.bytes);
        self.wait_for_latency();
        self.connection.send_head(status, &headers, range.end - range.start)?;
        if is_head { Ok(()) } else { send_range(self.connection, &object, range) }
    }

    fn delete(&mut self) -> Result<(), ConnectionError> {
        match self.request.parameter("uploadId") {
            Some(id) => drop(self.state.uploads().remove(id)),
            None => drop(self.state.objects().remove(&self.request.path)),
        }
        self.reply(204, &[], "")
    }

    fn fail(&mut self, status: u16, code: &str) -> Result<(), ConnectionError> {
        self.connection.discard_body(self.request.body_bytes)?;
        self.reply(status, &[], &xml::error(code))
    }

    fn succeed(
        &mut self,
        headers: &[(&str, String)],
        document: &str,
    ) -> Result<(), ConnectionError> {
        self.connection.discard_body(self.request.body_bytes)?;
        self.reply(200, headers, document)
    }

    /// Sends a response. The body of the request was read before.
    fn reply(
        &mut self,
        status: u16,
        headers: &[(&str, String)],
        document: &str,
    ) -> Result<(), ConnectionError> {
        self.wait_for_latency();
        self.connection.send_head(status, headers, document.len() as u64)?;
        if self.request.method == "HEAD" || document.is_empty() {
            return Ok(());
        }
        self.connection.send(document.as_bytes())
    }

    #[expect(clippy::disallowed_methods, reason = "the latency is the purpose of this option")]
    fn wait_for_latency(&self) {
        if !self.state.options.latency.is_zero() {
            std::thread::sleep(self.state.options.latency);
        }
    }
}

/// Returns the headers of a PUT that GET and HEAD return.
fn stored_headers(request: &Request) -> Vec<(String, String)> {
    let is_stored =
        |name: &str| name.starts_with("x-amz-meta-") || name == "content-type" || name == CRC64NVME;
    let stored = request.headers().filter(|(name, _)| is_stored(name));
    stored.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Parses `bytes=A-B` or `bytes=A-`. The range ends at the end of the object at the
/// latest.
fn range(text: &str, size: u64) -> Option<Range<u64>> {
    let (start, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1) };
    (start < end.min(size)).then(|| start..end.min(size))
}

fn send_range(
    connection: &mut Connection,
    object: &Object,
    range: Range<u64>,
) -> Result<(), ConnectionError> {
    let mut at = 0;
    for part in &object.body {
        let end = at + part.bytes();
        let within = range.start.clamp(at, end) - at..range.end.clamp(at, end) - at;
        connection.send_stored(part, within)?;
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_limited_to_the_object() {
        for (text, size, expected) in [
            ("bytes=0-4", 10, Some(0..5)),
            ("bytes=5-", 10, Some(5..10)),
            ("bytes=5-99", 10, Some(5..10)),
            ("bytes=10-", 10, None),
            ("bytes=-3", 10, None),
            ("lines=0-4", 10, None),
        ] {
            assert_eq!(range(text, size), expected, "{text}");
        }
    }
}
