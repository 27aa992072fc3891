//! The differences of SeaweedFS.

use super::Difference;
use crate::contract::servers::ServerName;

pub const ALL: &[Difference] = &[
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["of_concurrent_completions_if_none_match_one_succeeds"],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "Of completions at the same moment more than one may succeed: let one host write below a prefix.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_put_of_other_bytes_than_were_signed_is_refused"],
        instead: "accepted",
        why: "It does not compare a body with its signature. It does verify CRC64NVME and Content-MD5.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "no checksum",
        why: "The store uses HEAD.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_put_without_a_checksum_gets_a_crc64nvme"],
        instead: "checksum: none",
        why: "The store sends one with every body.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["parts_are_listed_with_their_crc64nvme"],
        instead: "checksums: [none]",
        why: "The store compares ETags and lengths of the listed parts.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_part_that_is_sent_again_is_listed_once"],
        instead: "parts: [1, 1, 1]",
        why: "It lists a part once for each time that it was sent, and completes the upload with the last.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_completion_with_a_wrong_etag_is_refused"],
        instead: "accepted",
        why: "The store compares the listed parts with the parts that it sent before it completes an upload.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "As for a wrong ETag.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["uploads_are_listed_in_pages"],
        instead: "no key marker",
        why: "It returns no marker, so only the first page of unfinished uploads is found. A lifecycle rule removes the others.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_key_of_1024_bytes_is_accepted"],
        instead: "refused: 400 KeyTooLongError",
        why: "Each name between slashes may have 255 bytes there. Our own names are shorter; a file with a longer one is refused, and the agent says so.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["an_archived_object_is_not_readable"],
        instead: "accepted",
        why: "It has no archive: an object of such a class can be read at once, and nothing has to be thawed.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &[
            "a_thaw_request_is_accepted_and_takes_time",
            "head_reports_a_thaw_in_progress",
            "a_listing_reports_a_thaw_in_progress",
            "a_repeated_thaw_request_is_answered_as_in_progress",
            "a_thaw_of_an_object_that_is_not_archived_is_refused",
        ],
        instead: "refused: 405 MethodNotAllowed",
        why: "As above.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["encryption_with_aes256_is_echoed", "an_upload_is_encrypted_with_aes256"],
        instead: "refused: 500 InternalError",
        why: "Without a key for encryption it answers so to each request for it. Set `sse` to `none`, or give it a key.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_signature_for_another_region_is_refused"],
        instead: "accepted",
        why: "It takes any region.",
    },
    Difference {
        server: ServerName::SeaweedFs,
        behaviours: &["a_missing_bucket_is_no_such_bucket"],
        instead: "accepted",
        why: "It creates the bucket. Compare its name with your configuration before the first upload.",
    },
];
