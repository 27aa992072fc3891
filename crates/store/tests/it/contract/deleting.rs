//! Deletes of single objects and in batches.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::delete_objects::{DeleteObjectsError, DeleteObjectsOutput};
use aws_sdk_s3::types::builders::DeleteBuilder;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::server::{BODY, Server};
use super::verdict::{Held, Verdict, is, refused};

const BATCH_MAX: usize = 1000;

pub async fn deleting_a_missing_object_is_not_an_error(server: &Server) -> Verdict {
    let delete = server.client.delete_object().bucket(&server.bucket);

    delete.key(server.key("absent")).send().await?;

    Ok(Held)
}

pub async fn a_batch_deletes_the_keys_that_it_names(server: &Server) -> Verdict {
    for name in ["a", "b", "c & <d>"] {
        server.stored(name, BODY).await?;
    }

    let done = batch(server, ["a", "c & <d>", "absent"].map(str::to_owned).to_vec()).await?;

    is("answers", (done.deleted().len(), done.errors().len()), (3, 0))?;
    is("left", server.names("").await?, vec!["b".to_owned()])?;
    Ok(Held)
}

pub async fn a_quiet_batch_reports_only_failures(server: &Server) -> Verdict {
    server.stored("a", BODY).await?;

    let done = quiet_batch(server, vec!["a".to_owned(), "absent".to_owned()]).await?;

    is("answers", (done.deleted().len(), done.errors().len()), (0, 0))?;
    is("left", server.names("").await?.len(), 0)?;
    Ok(Held)
}

pub async fn a_batch_deletes_a_thousand_keys(server: &Server) -> Verdict {
    server.stored("999", BODY).await?;

    let done = batch(server, (0..BATCH_MAX).map(|n| n.to_string()).collect()).await?;

    is("answers", (done.deleted().len(), done.errors().len()), (BATCH_MAX, 0))?;
    is("left", server.names("").await?.len(), 0)?;
    Ok(Held)
}

pub async fn a_batch_of_more_than_a_thousand_keys_is_refused(server: &Server) -> Verdict {
    let names = (0..=BATCH_MAX).map(|n| n.to_string()).collect();

    refused(batch(server, names).await, &["400"])?;
    Ok(Held)
}

type Deleted = Result<DeleteObjectsOutput, SdkError<DeleteObjectsError>>;

async fn batch(server: &Server, names: Vec<String>) -> Deleted {
    send(server, named(server, names)).await
}

/// Deletes as our store does.
async fn quiet_batch(server: &Server, names: Vec<String>) -> Deleted {
    send(server, named(server, names).quiet(true)).await
}

fn named(server: &Server, names: Vec<String>) -> DeleteBuilder {
    let object = |name: String| {
        ObjectIdentifier::builder().key(server.key(&name)).build().expect("it has a key")
    };
    let objects = names.into_iter().map(object).collect();
    Delete::builder().set_objects(Some(objects))
}

async fn send(server: &Server, delete: DeleteBuilder) -> Deleted {
    let delete = delete.build().expect("it has objects");
    server.client.delete_objects().bucket(&server.bucket).delete(delete).send().await
}
