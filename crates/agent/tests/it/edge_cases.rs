//! The edge cases of watching, each with its tests: with events and no scan, and with scans and no
//! watcher. A row whose tests do not exist fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

struct EdgeCase {
    case: &'static str,
    /// Tests with real inotify, in which the next scan is an hour away.
    by_events: &'static [&'static str],
    /// Tests without a watcher.
    by_scans: &'static [&'static str],
}

/// A row that cannot be tested on one side says so in the place of a test.
const NO_EVENT: &str = "no event: ";

#[rustfmt::skip]
const CASES: [EdgeCase; 20] = [
    EdgeCase {
        case: "directories and files that are created in a tight loop",
        by_events: &["files_in_directories_created_in_a_tight_loop_are_all_stored"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "a populated directory that is moved in",
        by_events: &["a_directory_that_is_moved_in_is_uploaded_with_everything_below_it"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "a directory that is renamed inside the tree and then written to",
        by_events: &["a_renamed_directory_is_watched_and_one_that_is_moved_out_is_not"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "a directory that is moved out of the tree",
        by_events: &["a_renamed_directory_is_watched_and_one_that_is_moved_out_is_not"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "an overflow of the kernel's queue",
        by_events: &["files_whose_events_the_kernel_dropped_are_found_by_a_scan"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "the limit of watches, or of inotify instances",
        by_events: &["with_too_few_inotify_watches_all_files_are_stored_and_the_log_names_the_fix"],
        by_scans: &["without_an_inotify_instance_files_are_stored_by_scans_and_status_says_so"],
    },
    EdgeCase {
        case: "a storm of new files in many directories",
        by_events: &["of_a_storm_of_new_files_in_many_directories_none_is_missed_or_stored_twice"],
        by_scans: &["a_scan_alone_stores_a_storm_of_new_files_once"],
    },
    EdgeCase {
        case: "a temporary file that is renamed over its target",
        by_events: &["a_temporary_file_renamed_over_the_target_is_uploaded_under_its_final_name"],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "a long write that ends; files settle in parallel",
        by_events: &[
            "a_file_that_grows_for_long_is_uploaded_once_it_settles",
            "a_file_with_an_open_writer_is_not_stored_while_it_pauses",
            "files_settle_beside_each_other",
        ],
        by_scans: &["a_scan_alone_lets_files_settle_beside_each_other"],
    },
    EdgeCase {
        case: "a writer that keeps its file open and never pauses",
        by_events: &[
            "a_file_that_never_settles_is_a_logged_problem_until_it_stops_changing",
            "a_file_that_never_settles_is_uploaded_as_it_is_if_configured",
        ],
        by_scans: &["a_scan_alone_counts_files_that_keep_changing_or_vanish"],
    },
    EdgeCase {
        case: "changes without an event: mappings, other hard links, network filesystems",
        by_events: &[
            "the_last_store_through_a_mapping_is_stored_once_it_is_unmapped",
            "writes_through_a_descriptor_after_its_file_got_a_name_are_found",
        ],
        by_scans: &[
            "a_store_into_a_mapped_page_that_is_dirty_is_found_by_the_next_scan",
            "a_polled_watch_is_not_watched_and_its_changes_are_stored",
        ],
    },
    EdgeCase {
        case: "a root that is missing, removed, unmounted, emptied or replaced",
        by_events: &[
            "a_root_that_is_missing_at_the_start_is_watched_once_it_is_there",
            "a_root_that_is_removed_and_created_again_is_watched_again",
            "a_daemon_tells_the_gateway_at_once_of_a_root_that_is_gone",
        ],
        by_scans: &[
            "a_scan_alone_forgets_nothing_of_a_root_that_is_missing_emptied_or_replaced",
            "an_unmounted_root_with_one_new_file_is_not_taken_for_a_deleted_tree",
        ],
    },
    EdgeCase {
        case: "a symlink above the root that is switched",
        by_events: &["after_a_symlink_above_the_root_is_switched_the_new_directory_is_watched"],
        by_scans: &["a_scan_alone_follows_a_symlink_above_the_root_that_is_switched"],
    },
    EdgeCase {
        case: "a directory without permission, or one that vanishes",
        by_events: &[
            "a_directory_that_may_be_entered_a_moment_later_is_watched_from_then_on",
            "files_that_are_gone_when_their_event_is_handled_cause_no_noise",
        ],
        by_scans: &[
            "a_directory_without_permission_is_a_problem_and_the_scan_goes_on",
            "a_scan_alone_counts_files_that_keep_changing_or_vanish",
        ],
    },
    EdgeCase {
        case: "a mount point inside the tree",
        by_events: &["a_mount_point_in_the_tree_is_excluded_by_watcher_and_scan"],
        by_scans: &["a_mount_point_in_the_tree_is_excluded_by_watcher_and_scan"],
    },
    EdgeCase {
        case: "a path that is gone when its event is handled",
        by_events: &[
            "files_that_are_gone_when_their_event_is_handled_cause_no_noise",
            "deleted_files_are_not_counted_and_stay_in_s3",
        ],
        by_scans: &["a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone"],
    },
    EdgeCase {
        case: "a start on a large tree",
        by_events: &["an_agent_that_starts_on_a_large_tree_is_soon_ready_and_needs_little_memory"],
        by_scans: &["a_scan_alone_of_a_large_tree_finds_the_one_new_file"],
    },
    EdgeCase {
        case: "regular scans: varied times, low priority",
        by_events: &["no event: a scan is what finds changes without one"],
        by_scans: &[
            "a_scan_is_varied_and_polling_takes_a_tenth_of_the_time",
            "a_scan_walks_on_a_thread_of_low_priority",
        ],
    },
    EdgeCase {
        case: "watches whose paths begin alike, or contain each other",
        by_events: &["watches_whose_names_begin_alike_do_not_mix"],
        by_scans: &[
            "watches_whose_names_begin_alike_do_not_mix",
            "an_error_names_file_line_and_key",
        ],
    },
    EdgeCase {
        case: "files of every filesystem, written in every way",
        by_events: &["on_ext4_every_change_is_stored", "on_tmpfs_every_change_is_stored"],
        by_scans: &["on_overlayfs_every_change_is_stored"],
    },
];

#[test]
fn each_edge_case_of_watching_has_a_test_with_events_and_one_with_scans() {
    let tests = tests_below(Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut missing = Vec::new();
    for EdgeCase { case, by_events, by_scans } in CASES {
        for (side, names) in [("events", by_events), ("scans", by_scans)] {
            let is_there = |name: &&str| tests.contains(*name) || name.starts_with(NO_EVENT);
            missing.extend(
                names.iter().filter(|name| !is_there(name)).map(|name| format!("{case}: {name}")),
            );
            if names.is_empty() {
                missing.push(format!("{case}: no test with {side}"));
            }
        }
    }
    assert!(missing.is_empty(), "these tests do not exist:\n{}", missing.join("\n"));
}

/// Returns the names of all tests in the sources below a directory.
pub fn tests_below(directory: &Path) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests.extend(tests_below(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            tests.extend(tests_in(&fs::read_to_string(path).expect("a source file")));
        }
    }
    tests
}

fn tests_in(source: &str) -> Vec<String> {
    let after = |attribute| source.split(attribute).skip(1);
    let bodies = after("#[test]").chain(after("#[tokio::test]"));
    let name = |text: &str| {
        let (_, rest) = text.split_once("fn ")?;
        Some(rest.split('(').next()?.to_owned())
    };
    bodies.filter_map(name).collect()
}
