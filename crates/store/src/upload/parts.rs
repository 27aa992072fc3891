//! Compares the parts that were sent with the parts that S3 lists.
//!
//! Pure. An upload is completed only if [`compare`] finds no difference.

use s3up_core::Crc64Nvme;

/// A part that S3 acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartSent {
    pub number: i32,
    pub len: u64,
    pub crc64nvme: Crc64Nvme,
    pub etag: String,
}

/// A part as S3 lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartListed {
    pub number: i32,
    pub len: u64,
    pub etag: String,
    /// `None` if the server does not report it.
    pub crc64nvme: Option<String>,
}

/// Checks that S3 lists exactly the parts that were sent.
pub(crate) fn compare(sent: &[PartSent], listed: &[PartListed]) -> Result<(), String> {
    if sent.len() != listed.len() {
        return Err(format!("number of parts: sent {}, listed {}", sent.len(), listed.len()));
    }
    for (sent, listed) in sent.iter().zip(listed) {
        let number = sent.number;
        let crc64nvme = sent.crc64nvme.to_string();
        let differs = |what: &str, sent: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            Err(format!("part {number}: {what}: sent {sent}, listed {found}"))
        };
        if listed.number != number {
            return differs("number", &number, &listed.number);
        }
        if listed.len != sent.len {
            return differs("length", &sent.len, &listed.len);
        }
        if unquoted(&listed.etag) != unquoted(&sent.etag) {
            return differs("ETag", &sent.etag, &listed.etag);
        }
        match &listed.crc64nvme {
            Some(found) if *found != crc64nvme => return differs("CRC64NVME", &crc64nvme, found),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the quotes of an ETag, which some servers leave out in listings.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: i32) -> PartSent {
        PartSent { number, len: 5, crc64nvme: Crc64Nvme(7), etag: format!("\"e{number}\"") }
    }

    fn listed(number: i32) -> PartListed {
        let crc64nvme = Some(Crc64Nvme(7).to_string());
        PartListed { number, len: 5, etag: format!("e{number}"), crc64nvme }
    }

    #[test]
    fn the_listed_parts_must_be_those_that_were_sent() {
        let both = [sent(1), sent(2)];
        let short = PartListed { len: 4, ..listed(2) };
        let other = PartListed { etag: "x".to_owned(), ..listed(2) };
        let flipped = PartListed { crc64nvme: Some("AAAA".to_owned()), ..listed(2) };
        let silent = PartListed { crc64nvme: None, ..listed(2) };
        #[rustfmt::skip]
        let cases = [
            (vec![listed(1), listed(2)],            Ok(())),
            (vec![listed(1), silent],               Ok(())),
            (vec![listed(1)],                       Err("number of parts: sent 2, listed 1")),
            (vec![listed(1), listed(2), listed(3)], Err("number of parts: sent 2, listed 3")),
            (vec![listed(2), listed(1)],            Err("part 1: number: sent 1, listed 2")),
            (vec![listed(1), short],                Err("part 2: length: sent 5, listed 4")),
            (vec![listed(1), other],                Err("part 2: ETag: sent \"e2\", listed x")),
            (vec![listed(1), flipped],              Err("part 2: CRC64NVME: sent AAAAAAAAAAc=, listed AAAA")),
        ];
        for (listed, want) in cases {
            assert_eq!(compare(&both, &listed), want.map_err(str::to_owned));
        }
    }
}
