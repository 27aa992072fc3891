//! Every behaviour, in the order in which the document tells of them.

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
    /// A claim, and the name of the function that checks it.
    pub name: &'static str,
    pub needs: Needs,
    pub ask: for<'a> fn(&'a Server) -> BoxFuture<'a, Verdict>,
}

/// What a server has to be before it can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// A bucket that keeps versions.
    Versions,
    /// A bucket whose settings nobody else relies on.
    OwnBucket,
}

impl Behaviour {
    /// The claim as a sentence.
    pub fn sentence(&self) -> String {
        self.name.replace('_', " ")
    }
}

macro_rules! behaviours {
    ($($group:literal needs $needs:ident { $($module:ident::$name:ident,)* })*) => {
        pub const ALL: &[Behaviour] = &[$($(Behaviour {
            group: $group,
            name: stringify!($name),
            needs: Needs::$needs,
            ask: |server| Box::pin($module::$name(server)),
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
        checksums::a_put_without_a_signed_payload_is_taken,
        checksums::a_wrong_crc64nvme_is_refused_without_a_signed_payload,
        checksums::a_crc64nvme_behind_the_body_is_kept,
        checksums::a_head_tells_the_crc64nvme,
        checksums::a_get_tells_the_crc64nvme,
        checksums::the_attributes_tell_the_crc64nvme,
        checksums::a_put_without_a_checksum_gets_a_crc64nvme,
        checksums::a_sha256_is_echoed_and_told,
        part_checksums::a_part_echoes_its_crc64nvme,
        part_checksums::a_part_with_a_wrong_crc64nvme_is_refused,
        part_checksums::a_part_with_a_wrong_content_md5_is_refused,
        part_checksums::an_upload_has_the_crc64nvme_of_all_its_bytes,
        part_checksums::an_upload_with_a_wrong_crc64nvme_does_not_complete,
        part_checksums::parts_are_listed_with_their_crc64nvme,
    }
    "Conditional writes" needs Nothing {
        conditions::a_key_that_must_be_new_is_put_once,
        conditions::a_key_that_was_deleted_is_new_again,
        conditions::an_object_is_replaced_on_the_etag_that_was_read,
        conditions::an_object_is_not_replaced_on_a_stale_etag,
        conditions::an_absent_object_is_not_replaced,
        conditions::an_upload_of_a_key_that_must_be_new_completes_once,
        conditions::an_upload_does_not_complete_on_a_stale_etag,
        conditions::an_upload_completes_on_the_etag_that_was_read,
        race::of_several_puts_of_a_new_key_one_wins,
        race::of_several_puts_on_the_same_etag_one_wins,
        race::of_several_uploads_of_a_new_key_one_completes,
    }
    "Multipart uploads" needs Nothing {
        multipart::an_object_is_absent_until_its_upload_completes,
        multipart::parts_that_arrive_in_any_order_are_put_in_theirs,
        multipart::a_part_that_is_sent_again_replaces_the_first,
        multipart::an_upload_names_parts_in_their_order_or_is_refused,
        multipart::an_upload_that_names_an_absent_part_is_refused,
        multipart::an_upload_that_names_another_etag_is_refused,
        multipart::a_short_part_that_is_not_the_last_is_refused,
        multipart::a_part_number_above_10000_is_refused,
        multipart::an_upload_of_another_size_than_announced_is_refused,
        multipart::an_upload_that_is_completed_again_is_done_or_gone,
        multipart::what_an_upload_was_started_with_is_on_its_object,
        aborting::parts_are_listed_with_size_and_etag,
        aborting::parts_are_listed_in_pages,
        aborting::uploads_are_listed_by_prefix_with_their_date,
        aborting::uploads_are_listed_in_pages,
        aborting::an_upload_that_is_aborted_is_gone,
        aborting::an_upload_that_is_aborted_again_is_done_or_gone,
        aborting::an_upload_that_is_aborted_does_not_complete,
        aborting::an_upload_that_is_aborted_takes_no_part,
    }
    "Versions" needs Versions {
        versions::a_put_tells_its_version,
        versions::an_upload_tells_its_version,
        versions::what_was_overwritten_is_still_read,
        versions::what_was_deleted_is_hidden_and_still_read,
        versions::an_old_version_is_read_in_ranges_on_its_etag,
        versions::a_key_under_a_delete_marker_is_new,
        versions::without_its_delete_marker_an_object_is_back,
        versions::a_version_that_is_deleted_is_gone,
        versions::versions_are_listed_newest_first,
        versions::versioning_is_told,
    }
    "Listings and keys" needs Nothing {
        listing::keys_are_listed_in_the_order_of_their_bytes,
        listing::a_listing_goes_on_where_its_token_says,
        listing::only_what_starts_with_the_prefix_is_listed,
        listing::a_key_stands_beside_a_folder_of_its_name,
        listing::what_was_put_is_listed_and_read_at_once,
        listing::what_was_deleted_is_gone_at_once,
        listing::a_listing_tells_size_etag_and_date,
        keys::odd_keys_come_back_as_they_are,
        keys::odd_keys_are_uploaded_in_parts,
        keys::control_characters_are_listed_encoded,
        keys::a_key_of_1024_bytes_is_taken,
        keys::a_key_of_1025_bytes_is_refused,
    }
    "Storage classes and archives" needs Nothing {
        archive::a_storage_class_is_told_by_head,
        archive::a_storage_class_is_told_by_a_listing,
        archive::an_archived_object_is_not_read,
        archive::a_restore_is_accepted_and_takes_time,
        archive::a_restore_under_way_is_told_by_head,
        archive::a_restore_under_way_is_told_by_a_listing,
        archive::a_restore_that_is_asked_for_again_is_in_progress,
        archive::what_is_not_archived_is_not_restored,
    }
    "Objects" needs Nothing {
        objects::user_metadata_comes_back,
        objects::a_content_type_comes_back,
        objects::encryption_with_aes256_is_echoed,
        objects::an_upload_is_encrypted_with_aes256,
        objects::a_head_tells_size_etag_and_date,
        objects::an_empty_object_is_an_object,
        objects::a_range_comes_alone,
        objects::a_range_over_the_end_is_cut_there,
        objects::a_range_behind_the_end_is_refused,
        objects::an_object_is_read_on_its_etag_only,
        objects::an_object_that_is_not_there_is_no_such_key,
        deleting::what_is_not_there_is_deleted_without_an_error,
        deleting::a_batch_deletes_the_keys_that_it_names,
        deleting::a_quiet_batch_tells_only_of_what_failed,
        deleting::a_batch_deletes_a_thousand_keys,
        deleting::a_batch_of_more_than_a_thousand_keys_is_refused,
    }
    "Access" needs Nothing {
        access::a_wrong_secret_is_refused,
        access::an_unknown_key_id_is_refused,
        access::a_signature_for_another_region_is_refused,
        access::a_bucket_that_is_not_there_is_no_such_bucket,
    }
    "Settings" needs OwnBucket {
        settings::a_lifecycle_that_sweeps_uploads_is_kept,
    }
}
