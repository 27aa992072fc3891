//! The differences of servers from the contract, and why we can live with them.
//!
//! Every entry has to be true: the suite fails if a listed difference is gone, and
//! if a difference is not listed. The embedded server may have none, because the
//! tests of the store run on it.

use super::servers::Name;

#[derive(Debug)]
pub struct Difference {
    pub server: Name,
    pub behaviours: &'static [&'static str],
    /// The behaviour of the server, in the words of the verdict.
    pub instead: &'static str,
    /// The reason why the difference is acceptable, or what the store does about it.
    pub why: &'static str,
}

pub const ALL: &[Difference] = &[
    Difference {
        server: Name::Moto,
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
        server: Name::Moto,
        behaviours: &[
            "a_put_echoes_its_crc64nvme",
            "a_sha256_is_echoed_and_reported",
            "a_part_echoes_its_crc64nvme",
        ],
        instead: "echo: None",
        why: "If the server echoes no checksum, the store signs every payload, and warns once.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "head_reports_the_crc64nvme",
            "get_reports_the_crc64nvme",
            "a_put_without_a_checksum_gets_a_crc64nvme",
        ],
        instead: "checksum: None",
        why: "Without a checksum in HEAD, a download is verified against the SHA-256 in the metadata, and a backup against the SHA-256 of each part.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "no checksum",
        why: "The store uses HEAD.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_completed_upload_has_the_crc64nvme_of_the_whole_object"],
        instead: "checksum: Some(\"UDdeww==\")",
        why: "It returns a CRC32. The store expects a CRC64NVME of 8 bytes, and ignores this one.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "parts_are_listed_with_their_crc64nvme",
            "parts_are_listed_with_size_and_etag",
            "parts_are_listed_in_pages",
        ],
        instead: "an unreadable answer",
        why: "If the list of parts cannot be parsed and the server is not AWS, the store completes the upload with the ETags from the answers to UploadPart.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_completion_if_match_with_a_stale_etag_is_refused"],
        instead: "accepted",
        why: "Pointers and manifests, which are written conditionally, are a single PUT, and moto honours the condition of a PUT.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_completion_with_parts_out_of_order_is_refused"],
        instead: "accepted",
        why: "The store names parts in order.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store sends the size only if the server honours checksums.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["uploads_are_listed_by_prefix_with_their_date"],
        instead: "a wrong date",
        why: "It reports the same date, years ago, for all uploads, so a sweep considers all of them old.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["uploads_are_listed_in_pages"],
        instead: "first page: 3",
        why: "A longer page does no harm.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["an_aborted_upload_does_not_complete", "an_aborted_upload_accepts_no_part"],
        instead: "refused: 500",
        why: "It refuses the call anyway; the store retries until its time is over, and then reports the error.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["the_versioning_status_is_reported"],
        instead: "an unreadable answer",
        why: "The gateway then reports that it does not know whether the bucket keeps versions.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["control_characters_are_listed_encoded"],
        instead: "refused: 404",
        why: "Our keys contain none.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "accepted",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_thaw_request_is_accepted_and_takes_time",
            "a_repeated_thaw_request_is_answered_as_in_progress",
        ],
        instead: "accepted",
        why: "It thaws archived objects at once.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["head_reports_a_thaw_in_progress"],
        instead: "reported as done",
        why: "It thaws archived objects at once.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_listing_reports_a_thaw_in_progress"],
        instead: "no RestoreStatus",
        why: "HEAD reports the thaw.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_quiet_batch_reports_only_failures"],
        instead: "answers: (2, 0)",
        why: "It also reports the deleted keys. The store reads only the failures.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "accepted",
        why: "Our batches are not longer.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_wrong_secret_is_refused",
            "an_unknown_key_id_is_refused",
            "a_signature_for_another_region_is_refused",
        ],
        instead: "accepted",
        why: "It does not authenticate anybody. Do not store anything valuable in it.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_put_if_none_match_succeeds_only_once",
            "a_put_if_match_with_a_stale_etag_is_refused",
            "a_put_if_match_of_a_missing_object_is_refused",
            "a_completion_if_none_match_succeeds_only_once",
            "a_completion_if_match_with_a_stale_etag_is_refused",
            "a_key_under_a_delete_marker_is_new",
        ],
        instead: "accepted",
        why: "It silently ignores `If-None-Match` and `If-Match` on writes, so the last writer wins. The store detects that and reports it: let only one host write below a prefix. The gateway does not start with `overwrite: never`.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "of_concurrent_puts_if_none_match_one_succeeds",
            "of_concurrent_puts_if_match_one_succeeds",
            "of_concurrent_completions_if_none_match_one_succeeds",
        ],
        instead: "not exactly one succeeds while the others get 409 or 412",
        why: "As above.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_crc64nvme_trailer_is_stored"],
        instead: "refused: 400 InvalidRequest",
        why: "It does not accept this checksum after a signed body. The store sends checksums in the header, which garage verifies.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["get_object_attributes_reports_the_crc64nvme"],
        instead: "an unreadable answer",
        why: "The store uses HEAD.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_put_without_a_checksum_gets_a_crc64nvme"],
        instead: "checksum: None",
        why: "The store sends one with every body.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_short_part_that_is_not_the_last_is_refused",
            "a_part_number_above_10000_is_refused",
        ],
        instead: "accepted",
        why: "The store keeps to the limits of AWS.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_completion_with_a_wrong_object_size_is_refused"],
        instead: "accepted",
        why: "The store compares the listed parts with the parts that it sent before it completes an upload.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "an_object_has_the_attributes_of_its_upload",
            "head_reports_the_storage_class",
        ],
        instead: "class: None",
        why: "It has one storage class and ignores others. It keeps content type and metadata.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_listing_reports_the_storage_class"],
        instead: "classes: [\"STANDARD\"]",
        why: "As above.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_archived_object_is_not_readable"],
        instead: "accepted",
        why: "It has no archive: every object can be read at once.",
    },
    Difference {
        server: Name::Garage,
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
        server: Name::Garage,
        behaviours: &["a_put_returns_its_version"],
        instead: "no version ID in HEAD",
        why: "It answers a PUT with the ID of a version that it does not keep, so a `version_id` recorded there means nothing.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_completion_returns_its_version",
            "removing_the_delete_marker_brings_the_object_back",
        ],
        instead: "no version ID",
        why: "It keeps no versions: overwritten and deleted objects are gone. The gateway reports that, and does not start if `s3.require_versioning` is set.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_overwritten_version_is_readable"],
        instead: "other bytes were returned",
        why: "As above: it ignores the requested version ID and returns the newest object.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_old_version_is_readable_in_ranges_with_if_match"],
        instead: "refused: 412",
        why: "As above; the ETag is the one of the newest object.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_deleted_object_is_hidden_and_its_version_readable"],
        instead: "delete marker: None",
        why: "As above.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_deleted_version_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "As above. Deleting a version deletes the current object; the store deletes no versions.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["versions_are_listed_newest_first"],
        instead: "refused: 501 NotImplemented",
        why: "As above.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["the_versioning_status_is_reported"],
        instead: "status: None",
        why: "As above: this is how the gateway detects it.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "accepted",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["encryption_with_aes256_is_echoed"],
        instead: "PUT: None",
        why: "It does not encrypt objects, whatever `sse` says. Encrypt its disk.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_upload_is_encrypted_with_aes256"],
        instead: "HEAD: None",
        why: "As above.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "accepted",
        why: "Our batches are not longer.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_wrong_secret_is_refused", "an_unknown_key_id_is_refused"],
        instead: "refused: 403 AccessDenied",
        why: "It refuses the call anyway; the message is then \"access denied\" and does not blame the credentials.",
    },
];

/// Returns the entry for a behaviour of a server.
pub fn of(server: Name, behaviour: &str) -> Option<&'static Difference> {
    ALL.iter().find(|entry| entry.server == server && entry.behaviours.contains(&behaviour))
}

#[test]
fn every_entry_names_behaviours_that_exist_once() {
    let mut seen = std::collections::HashSet::new();
    for entry in ALL {
        assert_ne!(entry.server, Name::Devstore, "the embedded server satisfies the contract");
        for name in entry.behaviours {
            assert!(
                super::behaviours::ALL.iter().any(|behaviour| behaviour.name == *name),
                "{name}"
            );
            assert!(seen.insert((entry.server, *name)), "{name} twice");
        }
    }
}
