//! All behaviours, in the order of the document.

use futures::future::BoxFuture;

use super::server::Server;
use super::verdict::Verdict;
use super::{
    aborting, access, archive, checksums, conditions, deleting, keys, listing, multipart, objects,
    part_checksums, race, settings, versions,
};

#[derive(Debug)]
pub struct Behaviour {
    pub group: &'static str,
    /// A claim. It is also the name of the function that checks it.
    pub name: &'static str,
    pub needs: Needs,
    pub check: for<'a> fn(&'a Server) -> BoxFuture<'a, Verdict>,
}

/// The precondition of testing a behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// A bucket that keeps versions.
    Versions,
    /// A bucket whose settings the suite may change.
    OwnBucket,
}

impl Behaviour {
    /// Returns the claim as a sentence.
    pub fn sentence(&self) -> String {
        Behaviour::sentence_of(self.name)
    }

    pub fn sentence_of(name: &str) -> String {
        name.replace('_', " ")
    }
}

macro_rules! behaviours {
    ($($group:literal needs $needs:ident { $($module:ident::$name:ident,)* })*) => {
        pub const ALL: &[Behaviour] = &[$($(Behaviour {
            group: $group,
            name: stringify!($name),
            needs: Needs::$needs,
            check: |server| Box::pin($module::$name(server)),
        },)*)*];
    };
}

behaviours! {
    "Checksums" needs Nothing {
        checksums::a_put_echoes_its_crc64nvme,
        checksums::a_put_with_a_wrong_crc64nvme_is_refused,
        checksums::a_put_with_a_wrong_sha256_is_refused,
        checksums::a_put_with_a_wrong_content_md5_is_refused,
        checksums::a_put_of_other_bytes_than_were_signed_is_refused,
        checksums::a_put_without_a_signed_payload_is_accepted,
        checksums::a_wrong_crc64nvme_is_refused_without_a_signed_payload,
        checksums::a_crc64nvme_trailer_is_stored,
        checksums::head_reports_the_crc64nvme,
        checksums::get_reports_the_crc64nvme,
        checksums::get_object_attributes_reports_the_crc64nvme,
        checksums::a_put_without_a_checksum_gets_a_crc64nvme,
        checksums::a_sha256_is_echoed_and_reported,
        part_checksums::a_part_echoes_its_crc64nvme,
        part_checksums::a_part_with_a_wrong_crc64nvme_is_refused,
        part_checksums::a_part_with_a_wrong_content_md5_is_refused,
        part_checksums::a_completed_upload_has_the_crc64nvme_of_the_whole_object,
        part_checksums::an_upload_with_a_wrong_crc64nvme_does_not_complete,
        part_checksums::parts_are_listed_with_their_crc64nvme,
    }
    "Conditional writes" needs Nothing {
        conditions::a_put_if_none_match_succeeds_only_once,
        conditions::a_deleted_key_is_new_again,
        conditions::a_put_if_match_with_the_current_etag_succeeds,
        conditions::a_put_if_match_with_the_current_etag_without_quotes_succeeds,
        conditions::a_put_if_match_with_a_stale_etag_is_refused,
        conditions::a_put_if_match_of_a_missing_object_is_refused,
        conditions::a_completion_if_none_match_succeeds_only_once,
        conditions::a_completion_if_match_with_a_stale_etag_is_refused,
        conditions::a_completion_if_match_with_the_current_etag_succeeds,
        race::of_concurrent_puts_if_none_match_one_succeeds,
        race::of_concurrent_puts_if_match_one_succeeds,
        race::of_concurrent_completions_if_none_match_one_succeeds,
    }
    "Multipart uploads" needs Nothing {
        multipart::an_object_is_invisible_until_its_upload_completes,
        multipart::parts_may_arrive_in_any_order,
        multipart::a_part_that_is_sent_again_replaces_the_first,
        multipart::a_part_that_is_sent_again_is_listed_once,
        multipart::a_completion_with_parts_out_of_order_is_refused,
        multipart::a_completion_with_a_missing_part_is_refused,
        multipart::a_completion_with_a_wrong_etag_is_refused,
        multipart::a_short_part_that_is_not_the_last_is_refused,
        multipart::a_part_number_of_10000_is_accepted,
        multipart::a_part_number_above_10000_is_refused,
        multipart::a_completion_with_a_wrong_object_size_is_refused,
        multipart::a_completion_answers_the_etag_that_head_returns,
        multipart::a_repeated_completion_succeeds_or_is_not_found,
        multipart::an_object_has_the_attributes_of_its_upload,
        aborting::parts_are_listed_with_size_and_etag,
        aborting::parts_are_listed_in_pages,
        aborting::uploads_are_listed_by_prefix_with_their_date,
        aborting::uploads_are_listed_in_pages,
        aborting::an_aborted_upload_is_gone,
        aborting::a_repeated_abort_succeeds_or_is_not_found,
        aborting::an_aborted_upload_does_not_complete,
        aborting::an_aborted_upload_accepts_no_part,
    }
    "Versions" needs Versions {
        versions::a_put_returns_its_version,
        versions::a_completion_returns_its_version,
        versions::an_overwritten_version_is_readable,
        versions::a_deleted_object_is_hidden_and_its_version_readable,
        versions::an_old_version_is_readable_in_ranges_with_if_match,
        versions::a_key_under_a_delete_marker_is_new,
        versions::removing_the_delete_marker_brings_the_object_back,
        versions::a_deleted_version_is_gone,
        versions::versions_are_listed_newest_first,
        versions::the_versioning_status_is_reported,
    }
    "Listings and keys" needs Nothing {
        listing::keys_are_listed_in_the_order_of_their_bytes,
        listing::a_listing_continues_at_its_token,
        listing::only_keys_with_the_prefix_are_listed,
        listing::a_key_and_a_directory_of_the_same_name_coexist,
        listing::a_new_object_is_listed_and_readable_at_once,
        listing::a_deleted_object_is_gone_at_once,
        listing::a_listing_reports_size_etag_and_date,
        keys::unusual_keys_are_stored_unchanged,
        keys::unusual_keys_work_in_multipart_uploads,
        keys::control_characters_are_listed_encoded,
        keys::a_key_of_1024_bytes_is_accepted,
        keys::a_key_of_1025_bytes_is_refused,
    }
    "Storage classes and archives" needs Nothing {
        archive::head_reports_the_storage_class,
        archive::a_listing_reports_the_storage_class,
        archive::an_unknown_storage_class_is_refused,
        archive::an_archived_object_is_not_readable,
        archive::a_thaw_request_is_accepted_and_takes_time,
        archive::head_reports_a_thaw_in_progress,
        archive::a_listing_reports_a_thaw_in_progress,
        archive::a_repeated_thaw_request_is_answered_as_in_progress,
        archive::a_thaw_of_an_object_that_is_not_archived_is_refused,
    }
    "Objects" needs Nothing {
        objects::user_metadata_is_returned,
        objects::the_content_type_is_returned,
        objects::encryption_with_aes256_is_echoed,
        objects::an_upload_is_encrypted_with_aes256,
        objects::encryption_with_aes256_is_not_accepted_and_ignored,
        objects::head_reports_size_etag_and_date,
        objects::an_empty_object_is_stored,
        objects::a_range_request_returns_only_the_range,
        objects::a_range_beyond_the_end_is_truncated,
        objects::a_range_after_the_end_is_refused,
        objects::a_get_if_match_needs_the_current_etag,
        objects::a_missing_object_is_no_such_key,
        deleting::deleting_a_missing_object_is_not_an_error,
        deleting::a_batch_deletes_the_keys_that_it_names,
        deleting::a_quiet_batch_reports_only_failures,
        deleting::a_batch_deletes_a_thousand_keys,
        deleting::a_batch_of_more_than_a_thousand_keys_is_refused,
    }
    "Access" needs Nothing {
        access::a_wrong_secret_is_refused,
        access::an_unknown_key_id_is_refused,
        access::a_signature_for_another_region_is_refused,
        access::a_missing_bucket_is_no_such_bucket,
    }
    "Settings" needs OwnBucket {
        settings::a_lifecycle_rule_that_aborts_uploads_is_stored,
    }
}
