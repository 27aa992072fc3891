//! The parts of a multipart upload: what was sent, and what S3 says it has.
//!
//! Pure. An upload is completed only where [`compare`] finds no difference.

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
    /// Where the server reports it.
    pub crc64nvme: Option<String>,
}

/// What S3 lists must be what was sent: no part more, none less, none other.
pub(crate) fn compare(sent: &[PartSent], listed: &[PartListed]) -> Result<(), String> {
    if sent.len() != listed.len() {
        return Err(format!("{} parts were sent, the store lists {}", sent.len(), listed.len()));
    }
    for (sent, listed) in sent.iter().zip(listed) {
        let number = sent.number;
        let crc64nvme = sent.crc64nvme.to_string();
        let differs = |what: &str, sent: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            Err(format!("part {number}: {what} sent {sent}, the store lists {found}"))
        };
        if listed.number != number {
            return differs("number", &number, &listed.number);
        }
        if listed.len != sent.len {
            return differs("bytes", &sent.len, &listed.len);
        }
        if bare(&listed.etag) != bare(&sent.etag) {
            return differs("ETag", &sent.etag, &listed.etag);
        }
        match &listed.crc64nvme {
            Some(found) if *found != crc64nvme => return differs("CRC64NVME", &crc64nvme, found),
            _ => {}
        }
    }
    Ok(())
}

/// Some servers leave out the quotes of an ETag in listings.
pub(crate) fn bare(etag: &str) -> &str {
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
    fn what_the_store_lists_must_be_what_was_sent() {
        let both = [sent(1), sent(2)];
        let short = PartListed { len: 4, ..listed(2) };
        let other = PartListed { etag: "x".to_owned(), ..listed(2) };
        let flipped = PartListed { crc64nvme: Some("AAAA".to_owned()), ..listed(2) };
        let silent = PartListed { crc64nvme: None, ..listed(2) };
        #[rustfmt::skip]
        let cases = [
            (vec![listed(1), listed(2)],            Ok(())),
            (vec![listed(1), silent],               Ok(())),
            (vec![listed(1)],                       Err("2 parts were sent, the store lists 1")),
            (vec![listed(1), listed(2), listed(3)], Err("2 parts were sent, the store lists 3")),
            (vec![listed(2), listed(1)],            Err("part 1: number sent 1, the store lists 2")),
            (vec![listed(1), short],                Err("part 2: bytes sent 5, the store lists 4")),
            (vec![listed(1), other],                Err("part 2: ETag sent \"e2\", the store lists x")),
            (vec![listed(1), flipped],              Err("part 2: CRC64NVME sent AAAAAAAAAAc=, the store lists AAAA")),
        ];
        for (listed, want) in cases {
            assert_eq!(compare(&both, &listed), want.map_err(str::to_owned));
        }
    }
}
