//! Compares the parts that were sent with the parts that S3 lists.
//!
//! Pure. An upload is completed only if [`compare`] finds no difference; a refused part shows how
//! many parts the server takes.

use std::collections::BTreeMap;

use s3up_core::Crc64Nvme;

use crate::error::StoreErrorKind;
use crate::objects::etag::unquoted;

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

/// Servers that take fewer parts than S3 take a multiple of this number.
const LIMIT_STEP: i32 = 100;

/// Returns the maximum number of parts that a server seems to have if it refused
/// this one.
pub(crate) fn limit_met(refused: i32, kind: StoreErrorKind) -> Option<u32> {
    let accepted = refused - 1;
    let is_limit = kind == StoreErrorKind::Permanent && accepted > 0 && accepted % LIMIT_STEP == 0;
    u32::try_from(accepted).ok().filter(|_| is_limit)
}

/// Checks that S3 lists exactly the parts that were sent. A part that was sent twice
/// may be listed twice, as SeaweedFS does: the completion names the one it wants by
/// its ETag, so the listing has to have it, and no number that was not sent.
pub(crate) fn compare(sent: &[PartSent], listed: &[PartListed]) -> Result<(), String> {
    let mut by_number: BTreeMap<i32, Vec<&PartListed>> = BTreeMap::new();
    for part in listed {
        by_number.entry(part.number).or_default().push(part);
    }
    for sent in sent {
        let number = sent.number;
        let Some(found) = by_number.remove(&number) else {
            return Err(format!("part {number}: expected in the list of the server, found none"));
        };
        let mut differences = found.iter().map(|listed| difference(sent, listed));
        if let Some(first) = differences.next().flatten()
            && differences.all(|difference| difference.is_some())
        {
            return Err(first);
        }
    }
    match by_number.keys().next() {
        Some(number) => {
            Err(format!("part {number}: found in the list of the server, but not sent"))
        }
        None => Ok(()),
    }
}

/// Returns how a listed part differs from the one that was sent.
fn difference(sent: &PartSent, listed: &PartListed) -> Option<String> {
    let number = sent.number;
    let crc64nvme = sent.crc64nvme.to_string();
    let differs = |what: &str, sent: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        Some(format!("part {number}: {what}: expected {sent}, found {found}"))
    };
    if listed.len != sent.len {
        return differs("length", &sent.len, &listed.len);
    }
    if unquoted(&listed.etag) != unquoted(&sent.etag) {
        return differs("ETag", &sent.etag, &listed.etag);
    }
    match &listed.crc64nvme {
        Some(found) if *found != crc64nvme => differs("CRC64NVME", &crc64nvme, found),
        _ => None,
    }
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
    fn a_limit_is_seen_where_a_round_number_of_parts_was_accepted() {
        #[rustfmt::skip]
        let cases = [
            (1001, StoreErrorKind::Permanent, Some(1000)),
            (501,  StoreErrorKind::Permanent, Some(500)),
            (1001, StoreErrorKind::Transient, None),
            (1000, StoreErrorKind::Permanent, None),
            (1,    StoreErrorKind::Permanent, None),
        ];
        for (refused, kind, want) in cases {
            assert_eq!(limit_met(refused, kind), want, "{refused} {kind:?}");
        }
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
            (vec![listed(2), listed(1)],            Ok(())),
            (vec![listed(1), listed(2), listed(2)], Ok(())),
            (vec![listed(1), other.clone(), listed(2)], Ok(())),
            (vec![listed(1)],                       Err("part 2: expected in the list of the server, found none")),
            (vec![listed(1), listed(2), listed(3)], Err("part 3: found in the list of the server, but not sent")),
            (vec![listed(1), short.clone(), other.clone()], Err("part 2: length: expected 5, found 4")),
            (vec![listed(1), short],                Err("part 2: length: expected 5, found 4")),
            (vec![listed(1), other],                Err("part 2: ETag: expected \"e2\", found x")),
            (vec![listed(1), flipped],              Err("part 2: CRC64NVME: expected AAAAAAAAAAc=, found AAAA")),
        ];
        for (listed, want) in cases {
            assert_eq!(compare(&both, &listed), want.map_err(str::to_owned));
        }
    }
}
