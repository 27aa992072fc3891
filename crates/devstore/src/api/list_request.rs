//! The parameters that all listings of keys share: prefix, delimiter, length of a
//! page, and the encoding of keys.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{S3Result, dto};

use super::fields::invalid_argument;
use crate::model::listing::{Cursor, PAGE_MAX, Page, Query};

/// Characters that `encoding-type=url` does not escape.
const URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// The encoding of keys in an answer. XML cannot represent some characters, so a
/// client may ask for escapes.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Url,
}

#[derive(Clone)]
pub(super) struct ListRequest {
    prefix: String,
    delimiter: Option<String>,
    pub(super) max: i32,
    encoding: Encoding,
}

impl ListRequest {
    pub(super) fn new(
        prefix: Option<String>,
        delimiter: Option<String>,
        max: Option<i32>,
        encoding: Option<&dto::EncodingType>,
    ) -> S3Result<ListRequest> {
        let max = max.unwrap_or(PAGE_MAX as i32);
        if max < 0 {
            return Err(invalid_argument("The maximum number of entries is negative."));
        }
        let encoding = match encoding.map(dto::EncodingType::as_str) {
            None => Encoding::Plain,
            Some(dto::EncodingType::URL) => Encoding::Url,
            Some(_) => {
                return Err(invalid_argument("Invalid Encoding Method specified in Request"));
            }
        };
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        Ok(ListRequest { prefix: prefix.unwrap_or_default(), delimiter, max, encoding })
    }

    pub(super) fn query(&self, after: Option<Cursor>) -> Query<'_> {
        Query {
            prefix: &self.prefix,
            delimiter: self.delimiter.as_deref(),
            after,
            max: (self.max as usize).min(PAGE_MAX),
        }
    }

    pub(super) fn cursor(&self, marker: Option<&String>) -> Option<Cursor> {
        let marker = marker.filter(|marker| !marker.is_empty())?;
        Some(Cursor::of_marker(marker.clone(), self.delimiter.as_deref()))
    }

    pub(super) fn prefix(&self) -> Option<String> {
        Some(self.encode(&self.prefix))
    }

    pub(super) fn delimiter(&self) -> Option<String> {
        self.delimiter.as_deref().map(|delimiter| self.encode(delimiter))
    }

    pub(super) fn encode(&self, text: &str) -> String {
        match self.encoding {
            Encoding::Plain => text.to_owned(),
            Encoding::Url => utf8_percent_encode(text, URL).to_string(),
        }
    }

    pub(super) fn encoding_type(&self) -> Option<dto::EncodingType> {
        match self.encoding {
            Encoding::Plain => None,
            Encoding::Url => Some(dto::EncodingType::from_static(dto::EncodingType::URL)),
        }
    }

    pub(super) fn prefixes<T>(&self, page: &Page<T>) -> Option<Vec<dto::CommonPrefix>> {
        let prefixes = page.prefixes.iter();
        Some(prefixes.map(|p| dto::CommonPrefix { prefix: Some(self.encode(p)) }).collect())
    }
}
