//! The differences of Ceph RGW.

use super::Difference;
use crate::contract::servers::ServerName;

pub const ALL: &[Difference] = &[
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_part_number_above_10000_is_refused"],
        instead: "accepted",
        why: "The store keeps to the limits of AWS.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &[
            "a_put_echoes_its_crc64nvme",
            "a_sha256_is_echoed_and_reported",
            "a_part_echoes_its_crc64nvme",
        ],
        instead: "echo: none",
        why: "It verifies no checksum of S3. The payload is signed, which it verifies, so a damaged body is refused; a download is verified against the SHA-256 in the metadata, and a backup against the SHA-256 of each part.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &[
            "a_put_with_a_wrong_crc64nvme_is_refused",
            "a_put_with_a_wrong_sha256_is_refused",
            "a_wrong_crc64nvme_is_refused_without_a_signed_payload",
            "a_part_with_a_wrong_crc64nvme_is_refused",
            "an_upload_with_a_wrong_crc64nvme_does_not_complete",
        ],
        instead: "accepted",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_crc64nvme_trailer_is_stored"],
        instead: "refused: 400 XAmzContentSHA256Mismatch",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &[
            "head_reports_the_crc64nvme",
            "get_reports_the_crc64nvme",
            "a_put_without_a_checksum_gets_a_crc64nvme",
            "a_completed_upload_has_the_crc64nvme_of_the_whole_object",
        ],
        instead: "checksum: none",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "refused: 403 SignatureDoesNotMatch",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["parts_are_listed_with_their_crc64nvme"],
        instead: "checksums: [none]",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_put_if_match_with_the_current_etag_succeeds"],
        instead: "refused: 412 PreconditionFailed",
        why: "It compares `If-Match` with the ETag without its quotes, so the right ETag is refused as it was returned, and taken without the quotes.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["of_concurrent_puts_if_match_one_succeeds"],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &[
            "a_completion_if_none_match_succeeds_only_once",
            "a_completion_if_match_with_a_stale_etag_is_refused",
        ],
        instead: "accepted",
        why: "It ignores the conditions of CompleteMultipartUpload, so a long object replaces another one even where `overwrite: never` is set. Pointers and manifests are a single PUT.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["of_concurrent_completions_if_none_match_one_succeeds"],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_key_under_a_delete_marker_is_new"],
        instead: "accepted",
        why: "In a bucket that keeps versions it ignores `If-None-Match`. The object that is replaced stays as a version.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_completion_answers_the_etag_that_head_returns"],
        instead: "an empty ETag",
        why: "HEAD returns the ETag.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_completion_with_parts_out_of_order_is_refused"],
        instead: "accepted",
        why: "The store names parts in order.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store compares the listed parts with the parts that it sent before it completes an upload.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["an_aborted_upload_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "Its code for an upload that is gone differs.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["an_aborted_upload_does_not_complete"],
        instead: "refused: 500 InternalError",
        why: "It refuses the call anyway; the store retries until its time is over, and then reports the error.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_deleted_version_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "Its code for a version that is gone differs.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "refused: 400 InvalidObjectName",
        why: "Its code differs. Our keys are checked before they are sent.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &[
            "an_object_has_the_attributes_of_its_upload",
            "head_reports_the_storage_class",
        ],
        instead: "refused: 400 InvalidArgument",
        why: "It refuses a storage class that its zone does not have, and says no more than this code.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["an_archived_object_is_not_readable"],
        instead: "accepted",
        why: "It has no archive: an object of such a class can be read at once, and nothing has to be thawed.",
    },
    Difference {
        server: ServerName::Rgw,
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
        server: ServerName::Rgw,
        behaviours: &[
            "encryption_with_aes256_is_echoed",
            "encryption_with_aes256_is_not_accepted_and_ignored",
        ],
        instead: "PUT: none",
        why: "It accepts the request, encrypts nothing and reports nothing. Over plain HTTP it refuses the request. Set `sse` to `none` and encrypt its disks.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["an_upload_is_encrypted_with_aes256"],
        instead: "HEAD: none",
        why: "As above.",
    },
    Difference {
        server: ServerName::Rgw,
        behaviours: &["a_signature_for_another_region_is_refused"],
        instead: "accepted",
        why: "It takes any region.",
    },
];
