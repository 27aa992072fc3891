//! Lifecycle rules of the bucket, and what they mean for a cleanup.

use crate::cleanup::{cleaned_host, cleanup, verified};
use crate::database::sql;
use crate::fixture::World;

/// The rules that `docs/s3-setup.md` advises.
const LIFECYCLE: &str = include_str!("../../../../packaging/aws/lifecycle.json");

#[tokio::test]
async fn a_file_is_kept_if_the_bucket_deletes_it_once_another_upload_has_replaced_it() {
    let world = World::start().await;
    let mut host = cleaned_host(&world.url());
    host.write("a", "a");
    verified(&host).await;
    // The advised rules delete old versions after 30 days.
    world.s3_client().put_lifecycle(LIFECYCLE).await;
    let refused = cleanup(&host, &[]).await;
    // It was not verified as long as that rule was there.
    let renewed = "UPDATE files SET verified_at = strftime('%s') - 40 * 86400";
    host.edit("min_age_days: 0", "min_age_days: 0, min_old_version_days: 31");
    sql(&host, &[renewed]).await;
    let too_early = cleanup(&host, &[]).await;
    host.edit("min_old_version_days: 31", "min_old_version_days: 30");
    sql(&host, &[renewed]).await;
    let accepted = cleanup(&host, &[]).await;

    for output in [&refused, &too_early] {
        let rule = "the bucket deletes it 30 days after another upload has replaced it: lifecycle rule \
                    expire-old-versions; limit the rule to other prefixes, or set \
                    cleanup.min_old_version_days";
        assert!(
            output.stdout.contains(&format!("kept: {}/a: {rule}", host.up.display())),
            "{output:?}"
        );
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    assert!(accepted.stdout.ends_with("1 file deleted (1 B)\n"), "{accepted:?}");
}
