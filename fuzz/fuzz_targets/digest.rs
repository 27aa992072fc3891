//! Every digest has one text form per notation, which is parsed back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3up_core::{Crc64Nvme, Sha256Digest};

fuzz_target!(|bytes: &[u8]| {
    if let Some((digest, _)) = bytes.split_first_chunk::<32>() {
        let digest = Sha256Digest(*digest);
        assert_eq!(Sha256Digest::parse_hex(&digest.to_string()), Ok(digest));
        assert_eq!(Sha256Digest::parse_repr_digest(&digest.to_repr_digest()), Ok(Some(digest)));
    }
    if let Some((crc, _)) = bytes.split_first_chunk::<8>() {
        let crc = Crc64Nvme(u64::from_be_bytes(*crc));
        assert_eq!(Crc64Nvme::parse(&crc.to_string()), Ok(crc));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(digest) = Sha256Digest::parse_hex(text) {
        assert_eq!(digest.to_string(), text.to_lowercase());
    }
    if let Ok(Some(digest)) = Sha256Digest::parse_repr_digest(text) {
        assert!(text.contains(&digest.to_repr_digest()));
    }
    if let Ok(crc) = Crc64Nvme::parse(text) {
        assert_eq!(crc.to_string(), text);
    }
});
