//! The differences of garage.

use super::Difference;
use crate::contract::servers::ServerName;

pub const ALL: &[Difference] = &[
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "a_put_if_none_match_succeeds_only_once",
            "a_put_if_match_with_a_stale_etag_is_refused",
            "a_put_if_match_of_a_missing_object_is_refused",
            "a_completion_if_none_match_succeeds_only_once",
            "a_completion_if_match_with_a_stale_etag_is_refused",
            "a_key_under_a_delete_marker_is_new",
        ],
        instead: "accepted",
        why: "It silently ignores `If-None-Match` and `If-Match` on writes, so the last writer wins. The store detects that and reports it: let only one host, or one gateway, write below a prefix.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "of_concurrent_puts_if_none_match_one_succeeds",
            "of_concurrent_puts_if_match_one_succeeds",
            "of_concurrent_completions_if_none_match_one_succeeds",
        ],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_crc64nvme_trailer_is_stored"],
        instead: "refused: 400 InvalidRequest",
        why: "It does not accept this checksum after a signed body. The store sends checksums in the header, which garage verifies.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "an unreadable answer",
        why: "The store uses HEAD.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_put_without_a_checksum_gets_a_crc64nvme"],
        instead: "checksum: none",
        why: "The store sends one with every body.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "a_short_part_that_is_not_the_last_is_refused",
            "a_part_number_above_10000_is_refused",
        ],
        instead: "accepted",
        why: "The store keeps to the limits of AWS.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store compares the listed parts with the parts that it sent before it completes an upload.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "an_object_has_the_attributes_of_its_upload",
            "head_reports_the_storage_class",
        ],
        instead: "class: none",
        why: "It has one storage class and ignores others. It keeps content type and metadata.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_listing_reports_the_storage_class"],
        instead: "classes: [\"STANDARD\"]",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["an_archived_object_is_not_readable"],
        instead: "accepted",
        why: "It has no archive: every object can be read at once.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "a_thaw_request_is_accepted_and_takes_time",
            "head_reports_a_thaw_in_progress",
            "a_listing_reports_a_thaw_in_progress",
            "a_repeated_thaw_request_is_answered_as_in_progress",
            "a_thaw_of_an_object_that_is_not_archived_is_refused",
        ],
        instead: "refused: 501 NotImplemented",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_put_returns_its_version"],
        instead: "no version ID in HEAD",
        why: "It answers a PUT with the ID of a version that it does not keep, so a `version_id` recorded there means nothing.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &[
            "a_completion_returns_its_version",
            "removing_the_delete_marker_brings_the_object_back",
        ],
        instead: "no version ID",
        why: "It keeps no versions: overwritten and deleted objects are gone. The gateway reports that, and does not start if `s3.require_versioning` is set.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["an_overwritten_version_is_readable"],
        instead: "other bytes were returned",
        why: "As above: it ignores the requested version ID and returns the newest object.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["an_old_version_is_readable_in_ranges_with_if_match"],
        instead: "refused: 412",
        why: "As above; the ETag is the one of the newest object.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_deleted_object_is_hidden_and_its_version_readable"],
        instead: "delete marker: none",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_deleted_version_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "As above. Deleting a version deletes the current object; the store deletes no versions.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["versions_are_listed_newest_first"],
        instead: "refused: 501 NotImplemented",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["the_versioning_status_is_reported"],
        instead: "status: none",
        why: "As above: this is how the gateway detects it.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "accepted",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["encryption_with_aes256_is_echoed"],
        instead: "PUT: none",
        why: "It does not encrypt objects, whatever `sse` says. Encrypt its disk.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["an_upload_is_encrypted_with_aes256"],
        instead: "HEAD: none",
        why: "As above.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "accepted",
        why: "Our batches are not longer.",
    },
    Difference {
        server: ServerName::Garage,
        behaviours: &["a_wrong_secret_is_refused", "an_unknown_key_id_is_refused"],
        instead: "refused: 403 AccessDenied",
        why: "It refuses the call anyway; the message is then \"access denied\" and does not blame the credentials.",
    },
];
