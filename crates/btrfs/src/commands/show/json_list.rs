//! Prints a JSON list item by item, in the form in which [`json`](super::json) prints all at once.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Length of the writes to standard output. With the 8 KiB of the standard library, a listing into a
/// file spends a fifth of its time in them.
const WRITE_BYTES: usize = 128 << 10;

/// Returns standard output with a long buffer.
pub fn long_writes() -> BufWriter<Stdout> {
    BufWriter::with_capacity(WRITE_BYTES, io::stdout())
}

pub struct JsonList<W> {
    out: W,
    formatter: PrettyFormatter<'static>,
    /// True once the list was begun.
    has_begun: bool,
}

impl<W: Write> JsonList<W> {
    pub fn new(out: W) -> JsonList<W> {
        JsonList { out, formatter: PrettyFormatter::new(), has_begun: false }
    }

    pub fn add(&mut self, item: &impl Serialize) -> io::Result<()> {
        let is_first = self.begin()?;
        self.formatter.begin_array_value(&mut self.out, is_first)?;
        let formatter = self.formatter.clone();
        item.serialize(&mut Serializer::with_formatter(&mut self.out, formatter))?;
        self.formatter.end_array_value(&mut self.out)
    }

    /// Begins the list, once. Returns true if it was not begun before.
    fn begin(&mut self) -> io::Result<bool> {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        if !has_begun {
            self.formatter.begin_array(&mut self.out)?;
        }
        Ok(!has_begun)
    }

    /// Ends the list, and returns the writer when everything is written.
    pub fn finish(mut self) -> io::Result<W> {
        self.begin()?;
        self.formatter.end_array(&mut self.out)?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::show::json;

    #[derive(Serialize)]
    struct Item {
        name: &'static str,
        size: Option<u64>,
        parts: Vec<Item>,
    }

    #[test]
    fn a_list_has_the_form_of_one_that_is_printed_at_once() {
        let item = |name, size, parts| Item { name, size, parts };
        let lists = [
            vec![],
            vec![item("one", None, vec![])],
            vec![
                item("a\n\"b\"", Some(1), vec![item("below", None, vec![])]),
                item("c", None, vec![]),
            ],
        ];
        for items in lists {
            let mut list = JsonList::new(Vec::new());
            items.iter().for_each(|item| list.add(item).unwrap());
            let found = String::from_utf8(list.finish().unwrap()).unwrap();
            assert_eq!(found, json(&items));
        }
    }
}
