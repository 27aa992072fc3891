//! Where servers differ from what we rely on, and why we can live with it.
//!
//! An entry has to be true: one whose behaviour holds after all fails the suite,
//! as does a difference that is not here. The embedded server may have none, as
//! the tests of the engine run on it.

use super::servers::Name;

#[derive(Debug)]
pub struct Difference {
    pub server: Name,
    pub behaviours: &'static [&'static str],
    /// As the verdict tells it.
    pub instead: &'static str,
    /// Why that is all right for us, or what our engine does about it.
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
        instead: "taken",
        why: "It verifies nothing of a body. Do not keep anything in it.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_put_echoes_its_crc64nvme",
            "a_sha256_is_echoed_and_told",
            "a_part_echoes_its_crc64nvme",
        ],
        instead: "echo: None",
        why: "Where no checksum is echoed, the engine signs every payload, and warns once.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_head_tells_the_crc64nvme",
            "a_get_tells_the_crc64nvme",
            "a_put_without_a_checksum_gets_a_crc64nvme",
        ],
        instead: "checksum: None",
        why: "Without a checksum in HEAD, a download is verified against the SHA-256 in the metadata, and a backup against the SHA-256 of each part.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["the_attributes_tell_the_crc64nvme"],
        instead: "no checksum",
        why: "The engine asks HEAD.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["an_upload_has_the_crc64nvme_of_all_its_bytes"],
        instead: "checksum: Some(\"UDdeww==\")",
        why: "It makes a CRC32 of it. The engine reads a CRC64NVME of 8 bytes, and takes this for none.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "parts_are_listed_with_their_crc64nvme",
            "parts_are_listed_with_size_and_etag",
            "parts_are_listed_in_pages",
        ],
        instead: "an answer that cannot be read",
        why: "Where the list of parts makes no sense and the server is none of AWS's, the engine completes by the ETags with which the parts were answered.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["an_upload_does_not_complete_on_a_stale_etag"],
        instead: "taken",
        why: "Pointers and manifests, which are written on a condition, are a single PUT; there moto honours it.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["an_upload_names_parts_in_their_order_or_is_refused"],
        instead: "taken",
        why: "The engine names parts in their order.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["an_upload_of_another_size_than_announced_is_refused"],
        instead: "taken",
        why: "The engine announces the size only where checksums are honoured.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["uploads_are_listed_by_prefix_with_their_date"],
        instead: "another date than now",
        why: "It has one date for all uploads, years ago, so that a sweep takes all of them for old.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["uploads_are_listed_in_pages"],
        instead: "first page: 3",
        why: "More than asked for does no harm.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "an_upload_that_is_aborted_does_not_complete",
            "an_upload_that_is_aborted_takes_no_part",
        ],
        instead: "refused: 500",
        why: "It is refused all the same; the engine tries again as long as it may, and then says so.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["versioning_is_told"],
        instead: "an answer that cannot be read",
        why: "The gateway then says that it does not know whether versions are kept.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["control_characters_are_listed_encoded"],
        instead: "refused: 404",
        why: "No key of ours has one.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "taken",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_restore_is_accepted_and_takes_time",
            "a_restore_that_is_asked_for_again_is_in_progress",
        ],
        instead: "taken",
        why: "Archived objects are there as soon as they are asked for.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_restore_under_way_is_told_by_head"],
        instead: "told as done",
        why: "It is done.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_restore_under_way_is_told_by_a_listing"],
        instead: "no RestoreStatus",
        why: "HEAD tells of it.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_quiet_batch_tells_only_of_what_failed"],
        instead: "answers: (2, 0)",
        why: "It also tells of what was deleted. The engine reads the failures only.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "taken",
        why: "No batch of ours is longer.",
    },
    Difference {
        server: Name::Moto,
        behaviours: &[
            "a_wrong_secret_is_refused",
            "an_unknown_key_id_is_refused",
            "a_signature_for_another_region_is_refused",
        ],
        instead: "taken",
        why: "It lets everybody in. Do not keep anything in it.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_key_that_must_be_new_is_put_once",
            "an_object_is_not_replaced_on_a_stale_etag",
            "an_absent_object_is_not_replaced",
            "an_upload_of_a_key_that_must_be_new_completes_once",
            "an_upload_does_not_complete_on_a_stale_etag",
            "a_key_under_a_delete_marker_is_new",
        ],
        instead: "taken",
        why: "It ignores `If-None-Match` and `If-Match` on writes without a word, so that the last writer wins. The engine finds out and says so: let one host alone write below a prefix. The gateway does not start with `overwrite: never`.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "of_several_puts_of_a_new_key_one_wins",
            "of_several_puts_on_the_same_etag_one_wins",
            "of_several_uploads_of_a_new_key_one_completes",
        ],
        instead: "not one wins while the others are told 409 or 412",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_crc64nvme_behind_the_body_is_kept"],
        instead: "refused: 400 InvalidRequest",
        why: "It does not take this checksum behind a signed body. The engine sends checksums in front of the body, which it verifies.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["the_attributes_tell_the_crc64nvme"],
        instead: "an answer that cannot be read",
        why: "The engine asks HEAD.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_put_without_a_checksum_gets_a_crc64nvme"],
        instead: "checksum: None",
        why: "The engine sends one with every body.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_short_part_that_is_not_the_last_is_refused",
            "a_part_number_above_10000_is_refused",
        ],
        instead: "taken",
        why: "The engine cuts streams within the limits of AWS.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_upload_of_another_size_than_announced_is_refused"],
        instead: "taken",
        why: "The engine compares what the list of parts says with what it sent before it completes an upload.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "what_an_upload_was_started_with_is_on_its_object",
            "a_storage_class_is_told_by_head",
        ],
        instead: "class: None",
        why: "It has one class, and ignores others. Content type and metadata are kept.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_storage_class_is_told_by_a_listing"],
        instead: "classes: [\"STANDARD\"]",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_archived_object_is_not_read"],
        instead: "taken",
        why: "It has no archive: everything can be read at once.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &[
            "a_restore_is_accepted_and_takes_time",
            "a_restore_under_way_is_told_by_head",
            "a_restore_under_way_is_told_by_a_listing",
            "a_restore_that_is_asked_for_again_is_in_progress",
            "what_is_not_archived_is_not_restored",
        ],
        instead: "refused: 501 NotImplemented",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_put_tells_its_version"],
        instead: "no version id in HEAD",
        why: "It answers a PUT with the id of a version that it does not keep: a `version_id` that is recorded there means nothing.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_upload_tells_its_version", "without_its_delete_marker_an_object_is_back"],
        instead: "no version id",
        why: "It keeps no versions: what is overwritten or deleted is gone. The gateway says so, and does not start where `s3.require_versioning` is set.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["what_was_overwritten_is_still_read"],
        instead: "other bytes came back",
        why: "The same: it ignores which version was asked for, and answers with the newest.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_old_version_is_read_in_ranges_on_its_etag"],
        instead: "refused: 412",
        why: "The same; the ETag is that of the newest.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["what_was_deleted_is_hidden_and_still_read"],
        instead: "delete marker: None",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_version_that_is_deleted_is_gone"],
        instead: "refused: 404 NoSuchKey",
        why: "The same. A delete of a version deletes the object, whatever it is by then; the engine deletes no versions.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["versions_are_listed_newest_first"],
        instead: "refused: 501 NotImplemented",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["versioning_is_told"],
        instead: "status: None",
        why: "The same: this is how the gateway knows.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_key_of_1025_bytes_is_refused"],
        instead: "taken",
        why: "Our keys are checked before they are sent.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["encryption_with_aes256_is_echoed"],
        instead: "PUT: None",
        why: "It encrypts nothing by itself, whatever `sse` says. Encrypt its disk.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["an_upload_is_encrypted_with_aes256"],
        instead: "HEAD: None",
        why: "The same.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_batch_of_more_than_a_thousand_keys_is_refused"],
        instead: "taken",
        why: "No batch of ours is longer.",
    },
    Difference {
        server: Name::Garage,
        behaviours: &["a_wrong_secret_is_refused", "an_unknown_key_id_is_refused"],
        instead: "refused: 403 AccessDenied",
        why: "It is refused all the same; the message then is \"access denied\", not that the credentials are wrong.",
    },
];

/// The entry for a behaviour of a server.
pub fn of(server: Name, behaviour: &str) -> Option<&'static Difference> {
    ALL.iter().find(|entry| entry.server == server && entry.behaviours.contains(&behaviour))
}

#[test]
fn every_entry_names_behaviours_that_exist_once() {
    let mut seen = std::collections::HashSet::new();
    for entry in ALL {
        assert_ne!(entry.server, Name::Devstore, "the embedded server holds all of them");
        for name in entry.behaviours {
            assert!(
                super::behaviours::ALL.iter().any(|behaviour| behaviour.name == *name),
                "{name}"
            );
            assert!(seen.insert((entry.server, *name)), "{name} twice");
        }
    }
}
