//! Faults that the agent once had, or that its kind of program often has, each with its tests. A row
//! whose tests do not exist fails.

use std::path::Path;

use crate::edge_cases::tests_below;

struct KnownFault {
    fault: &'static str,
    tests: &'static [&'static str],
}

#[rustfmt::skip]
const FAULTS: [KnownFault; 24] = [
    KnownFault {
        fault: "a lost or damaged database is taken for a first start",
        tests: &[
            "after_a_loss_the_gateway_is_asked_and_nothing_becomes_baseline",
            "a_database_that_is_removed_under_a_running_agent_is_noticed",
            "a_damaged_database_is_refused_with_advice_and_does_not_change",
        ],
    },
    KnownFault {
        fault: "a refused file is never tried again",
        tests: &[
            "a_refused_file_is_retried_when_the_gateway_came_back",
            "a_refused_file_is_retried_after_an_outage_that_only_a_heartbeat_noticed",
            "a_refused_file_is_retried_on_command",
        ],
    },
    KnownFault {
        fault: "nothing is recorded any more after a write failed",
        tests: &[
            "after_a_full_disk_everything_is_recorded_and_committed",
        ],
    },
    KnownFault {
        fault: "a file that changes more often than an upload takes is never stored",
        tests: &[
            "a_long_file_that_keeps_changing_is_stored_from_a_copy_and_marked_hot",
            "a_long_file_that_keeps_changing_and_cannot_be_copied_is_a_problem",
        ],
    },
    KnownFault {
        fault: "a watch that goes away is taken for one without files",
        tests: &[
            "a_watch_that_is_renamed_during_a_scan_leaves_its_files_pending",
            "a_watch_that_is_unmounted_during_a_scan_leaves_its_files_pending",
        ],
    },
    KnownFault {
        fault: "two files share a remote path",
        tests: &[
            "an_error_names_file_line_and_key",
            "prefixes_whose_files_cannot_share_a_remote_path_are_accepted",
        ],
    },
    KnownFault {
        fault: "the content changes and the identity does not",
        tests: &[
            "a_store_into_a_mapped_page_that_is_dirty_is_found_by_the_next_scan",
            "the_last_store_through_a_mapping_is_stored_once_it_is_unmapped",
            "content_replaced_with_size_and_times_kept_is_stored_where_there_is_no_ctime",
        ],
    },
    KnownFault {
        fault: "time stamps of whole seconds hide a second change",
        tests: &[
            "a_second_change_within_a_second_is_stored_where_stamps_are_whole_seconds",
        ],
    },
    KnownFault {
        fault: "half a file is stored because its writer paused",
        tests: &[
            "a_file_with_an_open_writer_is_not_stored_while_it_pauses",
            "an_upload_says_whether_the_writer_had_the_file_open",
        ],
    },
    KnownFault {
        fault: "mode and time alone never reach S3",
        tests: &[
            "a_change_of_mode_or_mtime_reaches_the_gateway_without_the_content",
        ],
    },
    KnownFault {
        fault: "a directory that may be entered later waits for a scan",
        tests: &[
            "a_directory_that_may_be_entered_a_moment_later_is_watched_from_then_on",
        ],
    },
    KnownFault {
        fault: "writes after a link raise no event",
        tests: &[
            "writes_through_a_descriptor_after_its_file_got_a_name_are_found",
        ],
    },
    KnownFault {
        fault: "unstable inode numbers make every file new",
        tests: &[
            "files_with_new_inode_numbers_after_a_remount_are_not_read_again",
        ],
    },
    KnownFault {
        fault: "an unmounted root is forgotten",
        tests: &[
            "an_unmounted_root_with_one_new_file_is_not_taken_for_a_deleted_tree",
        ],
    },
    KnownFault {
        fault: "one file that fails stops all others",
        tests: &[
            "a_file_that_fails_by_itself_does_not_stop_the_others",
            "a_file_that_fails_by_itself_blocks_no_other",
        ],
    },
    KnownFault {
        fault: "the agent is less patient than its gateway",
        tests: &[
            "each_layer_is_more_patient_than_the_one_below",
        ],
    },
    KnownFault {
        fault: "a lack of descriptors is a fault of the file",
        tests: &[
            "a_low_limit_of_open_files_is_raised_or_reported_and_no_file_is_at_fault",
        ],
    },
    KnownFault {
        fault: "a target is not treated as what it is",
        tests: &[
            "a_file_with_the_longest_name_is_fetched_under_it",
            "a_pipe_and_a_device_are_written_to_and_not_replaced",
            "what_exists_is_replaced_only_on_request_and_keeps_its_mode_if_none_is_recorded",
        ],
    },
    KnownFault {
        fault: "the watcher is ok where no event is reported",
        tests: &[
            "where_files_change_without_an_event_the_watcher_is_degraded_unless_scans_cover_it",
            "without_proc_nothing_can_be_watched_and_status_says_so",
        ],
    },
    KnownFault {
        fault: "an error names neither its file nor its cause",
        tests: &[
            "an_error_of_the_ca_file_names_the_file",
            "a_hangup_reloads_the_configuration",
        ],
    },
    KnownFault {
        fault: "a gateway that takes fewer uploads is a problem of the files",
        tests: &[
            "too_many_uploads_are_no_problem_and_their_number_is_lowered",
        ],
    },
    KnownFault {
        fault: "a download replaces a file and loses mode and time",
        tests: &[
            "what_exists_is_replaced_only_on_request_and_keeps_its_mode_if_none_is_recorded",
            "the_time_and_the_mode_that_the_file_had_on_its_host_are_set",
        ],
    },
    KnownFault {
        fault: "the status is good although nothing is stored",
        tests: &[
            "status_shows_an_unavailable_gateway_and_a_refused_key",
            "each_subject_has_its_limit",
        ],
    },
    KnownFault {
        fault: "a refused connection does not say what to change",
        tests: &[
            "a_refused_connection_names_what_is_wrong_and_what_to_do",
        ],
    },
];

#[test]
fn each_known_fault_has_its_tests() {
    let tests = tests_below(Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut missing = Vec::new();
    for KnownFault { fault, tests: names } in FAULTS {
        assert!(!names.is_empty(), "{fault}: no test");
        let absent = names.iter().filter(|name| !tests.contains(**name));
        missing.extend(absent.map(|name| format!("{fault}: {name}")));
    }
    assert!(missing.is_empty(), "these tests do not exist:\n{}", missing.join("\n"));
}
