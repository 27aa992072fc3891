//! The differences of Swift.

use super::Difference;
use crate::contract::servers::ServerName;

pub const ALL: &[Difference] = &[
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_completed_upload_has_the_crc64nvme_of_the_whole_object"],
        instead: "refused: 400 MalformedXML",
        why: "It refuses a completion that names checksums. The store names none to a server that has never echoed one.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "an unreadable answer",
        why: "The store uses HEAD.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store compares the listed parts with the parts that it sent before it completes an upload.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_part_number_of_10000_is_accepted"],
        instead: "refused: 400 InvalidArgument",
        why: "It accepts 1,000 parts. Set parts and chunks so that a chunk has no more of them.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "an_object_has_the_attributes_of_its_upload",
            "head_reports_the_storage_class",
            "a_listing_reports_the_storage_class",
        ],
        instead: "refused: 400 InvalidStorageClass",
        why: "It has one storage class and refuses others. Set the classes to STANDARD.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "an_archived_object_is_not_readable",
            "a_thaw_request_is_accepted_and_takes_time",
            "head_reports_a_thaw_in_progress",
            "a_listing_reports_a_thaw_in_progress",
            "a_repeated_thaw_request_is_answered_as_in_progress",
        ],
        instead: "refused: 400 InvalidStorageClass",
        why: "As for classes: nothing can be archived.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_thaw_of_an_object_that_is_not_archived_is_refused"],
        instead: "refused: 501 NotImplemented",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["encryption_with_aes256_is_echoed", "an_upload_is_encrypted_with_aes256"],
        instead: "refused: 501 NotImplemented",
        why: "It refuses requests for encryption. Set `sse` to `none` and encrypt its disks.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_completion_if_match_with_the_current_etag_succeeds"],
        instead: "refused: 412 PreconditionFailed",
        why: "It answers 412 to each completion with `If-Match`, whether the condition holds or not. The store completes no upload with it.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["of_concurrent_completions_if_none_match_one_succeeds"],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "Of completions at the same moment more than one may succeed.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "a_put_if_none_match_succeeds_only_once",
            "a_deleted_key_is_new_again",
            "a_put_if_match_with_the_current_etag_succeeds",
            "a_put_if_match_with_the_current_etag_without_quotes_succeeds",
            "a_put_if_match_with_a_stale_etag_is_refused",
            "a_put_if_match_of_a_missing_object_is_refused",
            "a_key_under_a_delete_marker_is_new",
        ],
        instead: "refused: 501 NotImplemented",
        why: "It refuses every PUT with a condition.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "of_concurrent_puts_if_none_match_one_succeeds",
            "of_concurrent_puts_if_match_one_succeeds",
        ],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "a_put_echoes_its_crc64nvme",
            "a_sha256_is_echoed_and_reported",
            "a_part_echoes_its_crc64nvme",
        ],
        instead: "echo: none",
        why: "It verifies no checksum of S3. The payload is signed, which it verifies, so a damaged body is refused; a download is verified against the SHA-256 in the metadata, and a backup against the SHA-256 of each part.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "a_put_with_a_wrong_crc64nvme_is_refused",
            "a_put_with_a_wrong_sha256_is_refused",
            "a_wrong_crc64nvme_is_refused_without_a_signed_payload",
            "a_part_with_a_wrong_crc64nvme_is_refused",
        ],
        instead: "accepted",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_crc64nvme_trailer_is_stored"],
        instead: "refused: 501 NotImplemented",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "head_reports_the_crc64nvme",
            "get_reports_the_crc64nvme",
            "a_put_without_a_checksum_gets_a_crc64nvme",
        ],
        instead: "checksum: none",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["parts_are_listed_with_their_crc64nvme"],
        instead: "checksums: [none]",
        why: "As above.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_completion_returns_its_version"],
        instead: "no version ID",
        why: "HEAD returns the version.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["removing_the_delete_marker_brings_the_object_back"],
        instead: "no answer in time",
        why: "It answers nothing for a minute when the version that is a delete marker is deleted. The store deletes no versions.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_deleted_version_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "Its code for a version that is gone differs.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &[
            "a_batch_deletes_the_keys_that_it_names",
            "a_quiet_batch_reports_only_failures",
            "a_batch_deletes_a_thousand_keys",
        ],
        instead: "refused: 400 InvalidRequest",
        why: "It takes a batch of deletions only with Content-MD5, which the AWS SDK no longer sends.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["an_unknown_key_id_is_refused"],
        instead: "refused: 403 SignatureDoesNotMatch",
        why: "It refuses the call anyway; the message blames the secret.",
    },
    Difference {
        server: ServerName::Swift,
        behaviours: &["a_lifecycle_rule_that_aborts_uploads_is_stored"],
        instead: "refused: 400 MalformedXML",
        why: "It has no rules. Remove unfinished uploads by hand, or by a job of your own.",
    },
];
