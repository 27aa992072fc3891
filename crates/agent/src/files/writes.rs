//! Knowledge from events about writes to a file: whether it was written at all, and
//! whether its writer has closed it.
//!
//! The identity of a file tells its versions apart. Where a filesystem does not
//! keep it up to date, an event that says *written* is the only sign of a change,
//! so it must not get lost between the kernel and the upload. An event of a
//! writer that was not followed by a close means that a writer has the file open.
//!
//! Pure. Which event of the kernel means what is in `watching`.

/// Knowledge about writes to one file since it was last uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writes {
    pub evidence: Evidence,
    pub writer: LastWriter,
}

/// Source of the suspicion that a file changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The file was observed, by a scan or after a change of its attributes.
    #[default]
    Seen,
    /// An event that says that the content was written or replaced.
    Written,
}

/// State of the last writer that events reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastWriter {
    /// No event reported a writer.
    #[default]
    Unknown,
    /// The file was created or written and not closed since.
    Open,
    Closed,
}

impl Writes {
    /// The attributes changed, and nothing else is known.
    pub const NONE: Writes = Writes { evidence: Evidence::Seen, writer: LastWriter::Unknown };
    /// The file was created or written; its writer has it open.
    pub const OPEN: Writes = Writes { evidence: Evidence::Written, writer: LastWriter::Open };
    /// A writer closed the file.
    pub const CLOSED: Writes = Writes { evidence: Evidence::Written, writer: LastWriter::Closed };
    /// The file was moved or found here, so its content may be other content.
    pub const REPLACED: Writes =
        Writes { evidence: Evidence::Written, writer: LastWriter::Unknown };

    /// Adds what a later event says.
    pub fn add(&mut self, later: Writes) {
        if later.evidence == Evidence::Written {
            self.evidence = Evidence::Written;
        }
        if later.writer != LastWriter::Unknown {
            self.writer = later.writer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_a_write_stays_and_the_last_event_of_a_writer_counts() {
        #[rustfmt::skip]
        let cases = [
            ("written, then closed",            vec![Writes::OPEN, Writes::CLOSED],                Writes::CLOSED),
            ("closed, then written by another", vec![Writes::CLOSED, Writes::OPEN],                Writes::OPEN),
            ("closed, then touched",            vec![Writes::CLOSED, Writes::NONE],                Writes::CLOSED),
            ("touched only",                    vec![Writes::NONE, Writes::NONE],                  Writes::NONE),
            ("renamed while it is written",     vec![Writes::OPEN, Writes::REPLACED],              Writes::OPEN),
            ("moved here, then touched",        vec![Writes::REPLACED, Writes::NONE],              Writes::REPLACED),
            ("moved here and written",          vec![Writes::REPLACED, Writes::OPEN],              Writes::OPEN),
        ];
        for (situation, events, want) in cases {
            let mut writes = Writes::default();
            events.into_iter().for_each(|event| writes.add(event));
            assert_eq!(writes, want, "{situation}");
        }
    }
}
