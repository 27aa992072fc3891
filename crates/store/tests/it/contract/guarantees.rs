//! The guarantees of a server that a user asks for, put together from the behaviours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::behaviours::Behaviour;

/// A guarantee of a server.
#[derive(Debug)]
pub struct Guarantee {
    pub sentence: &'static str,
    /// Behaviours that it follows from. Of each inner list one is enough.
    needs: &'static [&'static [&'static str]],
}

pub const ALL: &[Guarantee] = &[
    Guarantee {
        sentence: "A body that was damaged on its way is refused",
        needs: &[&[
            "a_put_of_other_bytes_than_were_signed_is_refused",
            "a_put_with_a_wrong_crc64nvme_is_refused",
        ]],
    },
    Guarantee {
        sentence: "The checksum of a long object is kept, and downloads are verified by it",
        needs: &[
            &["head_reports_the_crc64nvme"],
            &["a_completed_upload_has_the_crc64nvme_of_the_whole_object"],
        ],
    },
    Guarantee {
        sentence: "A new short object never replaces another one",
        needs: &[
            &["a_put_if_none_match_succeeds_only_once"],
            &["of_concurrent_puts_if_none_match_one_succeeds"],
        ],
    },
    Guarantee {
        sentence: "The same in a bucket that keeps versions",
        needs: &[&["a_key_under_a_delete_marker_is_new"]],
    },
    Guarantee {
        sentence: "A new long object never replaces another one",
        needs: &[
            &["a_completion_if_none_match_succeeds_only_once"],
            &["of_concurrent_completions_if_none_match_one_succeeds"],
        ],
    },
    Guarantee {
        sentence: "Two hosts cannot overwrite each other's newest backup",
        needs: &[
            &["a_put_if_match_with_a_stale_etag_is_refused"],
            &[
                "a_put_if_match_with_the_current_etag_succeeds",
                "a_put_if_match_with_the_current_etag_without_quotes_succeeds",
            ],
        ],
    },
    Guarantee {
        sentence: "An object may have 10,000 parts",
        needs: &[&["a_part_number_of_10000_is_accepted"]],
    },
    Guarantee {
        sentence: "Overwritten and deleted objects stay as versions",
        needs: &[
            &["an_overwritten_version_is_readable"],
            &["a_deleted_object_is_hidden_and_its_version_readable"],
        ],
    },
    Guarantee {
        sentence: "An archive class archives, and objects can be thawed",
        needs: &[
            &["an_archived_object_is_not_readable"],
            &["a_thaw_request_is_accepted_and_takes_time"],
        ],
    },
    Guarantee {
        sentence: "Encryption that is asked for is not ignored silently",
        needs: &[&["encryption_with_aes256_is_not_accepted_and_ignored"]],
    },
];

impl Guarantee {
    /// Returns the cell of a server whose answers these are, by sentence.
    fn cell(&self, cells: &BTreeMap<String, String>) -> &'static str {
        let is_open = |cell: &str| cell.starts_with("not ");
        let found = |name: &&str| cells[&Behaviour::sentence_of(name)].as_str();
        let held = self.needs.iter().all(|any| any.iter().map(found).any(|cell| cell == "holds"));
        match self.needs.iter().any(|any| any.iter().map(found).all(is_open)) {
            true => "not run",
            false if held => "yes",
            false => "**no**",
        }
    }
}

/// Returns the rows of the table; `columns` are the cells of each server.
pub fn rows<'a>(columns: impl Iterator<Item = &'a BTreeMap<String, String>> + Clone) -> String {
    let mut text = String::new();
    for guarantee in ALL {
        let cells: Vec<_> = columns.clone().map(|cells| guarantee.cell(cells)).collect();
        writeln!(text, "| {} | {} |", guarantee.sentence, cells.join(" | "))
            .expect("writing to a String cannot fail");
    }
    text
}

#[test]
fn a_guarantee_holds_if_one_of_each_list_holds() {
    let guarantee = Guarantee { sentence: "It holds", needs: &[&["a_b"], &["c", "d"]] };
    #[rustfmt::skip]
    let cases = [
        (["holds",          "holds",   "**differs**: x"], "yes"),
        (["holds",          "not run", "holds"],          "yes"),
        (["**differs**: x", "holds",   "holds"],          "**no**"),
        (["holds",          "**differs**: x", "**differs**: y"], "**no**"),
        (["not run",        "holds",   "holds"],          "not run"),
        (["not tested: no versions", "holds", "holds"],   "not run"),
    ];
    for (cells, want) in cases {
        let keys = ["a b", "c", "d"].map(str::to_owned);
        let cells = keys.into_iter().zip(cells.map(str::to_owned)).collect();
        assert_eq!(guarantee.cell(&cells), want, "{cells:?}");
    }
}

#[test]
fn every_behaviour_of_a_guarantee_exists() {
    for name in ALL.iter().flat_map(|guarantee| guarantee.needs.concat()) {
        let mut names = super::behaviours::ALL.iter().map(|behaviour| behaviour.name);
        assert!(names.any(|known| known == name), "{name}");
    }
}
