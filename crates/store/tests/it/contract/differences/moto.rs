//! The differences of moto.

use super::Difference;
use crate::contract::servers::ServerName;

pub const ALL: &[Difference] = &[
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "a_put_with_a_wrong_crc64nvme_is_refused",
            "a_put_with_a_wrong_sha256_is_refused",
            "a_put_with_a_wrong_content_md5_is_refused",
            "a_put_of_other_bytes_than_were_signed_is_refused",
            "a_wrong_crc64nvme_is_refused_without_a_signed_payload",
            "a_part_with_a_wrong_crc64nvme_is_refused",
            "a_part_with_a_wrong_content_md5_is_refused",
            "an_upload_with_a_wrong_crc64nvme_does_not_complete",
        ],
        instead: "accepted",
        why: "It verifies no body. Do not store anything valuable in it.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "a_put_echoes_its_crc64nvme",
            "a_sha256_is_echoed_and_reported",
            "a_part_echoes_its_crc64nvme",
        ],
        instead: "echo: none",
        why: "If the server echoes no checksum, the store signs every payload, and warns once.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "head_reports_the_crc64nvme",
            "get_reports_the_crc64nvme",
            "a_put_without_a_checksum_gets_a_crc64nvme",
        ],
        instead: "checksum: none",
        why: "Without a checksum in HEAD, a download is verified against the SHA-256 in the metadata, and a backup against the SHA-256 of each part.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "no checksum",
        why: "The store uses HEAD.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_completed_upload_has_the_crc64nvme_of_the_whole_object"],
        instead: "checksum: \"UDdeww==\"",
        why: "It returns a CRC32. The store expects a CRC64NVME of 8 bytes, and ignores this one.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "parts_are_listed_with_their_crc64nvme",
            "parts_are_listed_with_size_and_etag",
            "parts_are_listed_in_pages",
            "a_part_that_is_sent_again_is_listed_once",
        ],
        instead: "an unreadable answer",
        why: "If the list of parts cannot be parsed and the server is not AWS, the store completes the upload with the ETags from the answers to UploadPart.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_completion_if_match_with_a_stale_etag_is_refused"],
        instead: "accepted",
        why: "Pointers and manifests, which are written conditionally, are a single PUT, and moto honours the condition of a PUT.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_completion_with_parts_out_of_order_is_refused"],
        instead: "accepted",
        why: "The store names parts in order.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store sends the size only if the server honours checksums.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["uploads_are_listed_by_prefix_with_their_date"],
        instead: "a wrong date",
        why: "It reports the same date, years ago, for all uploads, so a sweep considers all of them old.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["uploads_are_listed_in_pages"],
        instead: "first page: 3",
        why: "A longer page does no harm.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["an_aborted_upload_does_not_complete", "an_aborted_upload_accepts_no_part"],
        instead: "refused: 500",
        why: "It refuses the call anyway; the store retries until its time is over, and then reports the error.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["the_versioning_status_is_reported"],
        instead: "an unreadable answer",
        why: "The gateway then reports that it does not know whether the bucket keeps versions.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["control_characters_are_listed_encoded"],
        instead: "refused: 404",
        why: "Our keys contain none.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "accepted",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "a_thaw_request_is_accepted_and_takes_time",
            "a_repeated_thaw_request_is_answered_as_in_progress",
        ],
        instead: "accepted",
        why: "It thaws archived objects at once.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["head_reports_a_thaw_in_progress"],
        instead: "reported as done",
        why: "It thaws archived objects at once.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_listing_reports_a_thaw_in_progress"],
        instead: "no RestoreStatus",
        why: "HEAD reports the thaw.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_quiet_batch_reports_only_failures"],
        instead: "answers: (2, 0)",
        why: "It also reports the deleted keys. The store reads only the failures.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "accepted",
        why: "Our batches are not longer.",
    },
    Difference {
        server: ServerName::Moto,
        behaviours: &[
            "a_wrong_secret_is_refused",
            "an_unknown_key_id_is_refused",
            "a_signature_for_another_region_is_refused",
        ],
        instead: "accepted",
        why: "It does not authenticate anybody. Do not store anything valuable in it.",
    },
];
