//! Golden files: texts that a person sees, compared with what the programs print.
//!
//! A text is compared after what varies from run to run was replaced by a
//! placeholder ([`Redactions`]), and without regard to the width of table columns,
//! because a column is as wide as a value that was replaced. With
//! `S3UP_WRITE_GOLDEN=1` a test writes a file that differs, instead of failing.
//!
//! - [`assert_golden`]: one text and one file.
//! - [`assert_help`]: the help of a program and of all its commands.
//! - [`Page`]: the commands of a document, with the output that it shows.
//! - [`examples`]: the configurations in README and the documents.

mod compare;
mod help;
mod page;
mod redactions;

pub use compare::assert_golden;
pub use help::assert_help;
pub use page::{Command, KeyProbe, Page, examples, key_defaults, key_probes, outputs, script};
pub use redactions::Redactions;
