//! One block: records in the order of their keys, each key without the bytes that it shares with
//! the key before it.

use std::ops::Range;

use crate::codec::{Decoder, Malformed, put_number, put_text};

/// Maximum length of all keys of a block. The writer ends a block long before; earlier ones have put
/// up to some 8,000 of the longest paths into one. Without a limit, a block that shares a long
/// beginning millions of times would take all memory.
const KEYS_BYTES_MAX: usize = 48 << 20;

/// Encodes records until the block is long enough.
#[derive(Default)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    first_key: Option<Vec<u8>>,
    last_key: Vec<u8>,
    keys_bytes: usize,
}

impl BlockBuilder {
    /// Adds a record with a key above the last one.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        let shared = self.last_key.iter().zip(key).take_while(|(a, b)| a == b).count();
        put_number(&mut self.bytes, shared as u64);
        put_text(&mut self.bytes, &key[shared..]);
        put_text(&mut self.bytes, value);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.keys_bytes += key.len();
        self.first_key.get_or_insert_with(|| key.to_vec());
    }

    /// Returns the length of the content so far.
    pub fn content_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the length of all keys so far, which a reader holds in memory.
    pub fn keys_bytes(&self) -> usize {
        self.keys_bytes
    }

    /// Returns the first key and the content, and starts the next block.
    pub fn take(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let first_key = self.first_key.take()?;
        self.last_key.clear();
        self.keys_bytes = 0;
        Some((first_key, std::mem::take(&mut self.bytes)))
    }
}

/// A block whose records were found.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    keys: Vec<u8>,
    records: Vec<(Range<u32>, Range<u32>)>,
}

impl Block {
    pub fn decode(bytes: Vec<u8>) -> Result<Block, Malformed> {
        let (mut keys, mut records) = (Vec::<u8>::new(), Vec::new());
        let mut last = 0..0;
        let mut from = Decoder(&bytes);
        let short = |number: usize| u32::try_from(number).map_err(|_| Malformed("a shorter block"));
        while !from.is_empty() {
            let shared = usize::try_from(from.number()?).map_err(|_| Malformed("a key"))?;
            if shared > last.end - last.start {
                return Err(Malformed("a key that the one before it begins with"));
            }
            let start = keys.len();
            keys.extend_from_within(last.start..last.start + shared);
            keys.extend_from_slice(from.text()?);
            if keys.len() > KEYS_BYTES_MAX {
                return Err(Malformed("shorter keys"));
            }
            last = start..keys.len();
            let value = from.text()?;
            let value_end = bytes.len() - from.0.len();
            let value = short(value_end - value.len())?..short(value_end)?;
            records.push((short(last.start)?..short(last.end)?, value));
        }
        Ok(Block { bytes, keys, records })
    }

    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// Returns its length in memory.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
            + self.keys.len()
            + self.records.len() * size_of::<(Range<u32>, Range<u32>)>()
    }

    pub fn key(&self, n: usize) -> &[u8] {
        let range = &self.records[n].0;
        &self.keys[range.start as usize..range.end as usize]
    }

    pub fn value(&self, n: usize) -> &[u8] {
        let range = &self.records[n].1;
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// Returns the number of the first record whose key is not below `key`.
    pub fn find(&self, key: &[u8]) -> usize {
        self.records.partition_point(|(range, _)| {
            &self.keys[range.start as usize..range.end as usize] < key
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_a_beginning_too_often_are_refused() {
        let mut bytes = Vec::new();
        let long = vec![b'a'; 1 << 20];
        for n in 0..=KEYS_BYTES_MAX >> 20 {
            put_number(&mut bytes, if n == 0 { 0 } else { long.len() as u64 });
            put_text(&mut bytes, if n == 0 { &long } else { b"" });
            put_text(&mut bytes, b"");
        }
        assert!(Block::decode(bytes).is_err());
    }

    proptest::proptest! {
        #[test]
        fn records_survive_a_round_trip(
            records: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
            wanted: Vec<u8>,
        ) {
            let mut builder = BlockBuilder::default();
            records.iter().for_each(|(key, value)| builder.put(key, value));
            let block = Block::decode(std::mem::take(&mut builder.bytes)).unwrap();
            let found: Vec<_> =
                (0..block.count()).map(|n| (block.key(n).to_vec(), block.value(n).to_vec())).collect();
            proptest::prop_assert_eq!(block.find(&wanted), records.range(..wanted).count());
            proptest::prop_assert_eq!(found, records.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let len = bytes.len();
            if let Ok(block) = Block::decode(bytes) {
                proptest::prop_assert!(block.count() <= len);
            }
        }
    }
}
