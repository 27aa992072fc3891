//! Storage classes and archived objects.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::restore_object::builders::RestoreObjectFluentBuilder;
use aws_sdk_s3::operation::restore_object::{RestoreObjectError, RestoreObjectOutput};
use aws_sdk_s3::types::{
    GlacierJobParameters, OptionalObjectAttributes, RestoreRequest, StorageClass, Tier,
};
use s3up_testkit::StatusRecorder;

use super::server::{BODY, Server};
use super::verdict::{Differs, Held, Verdict, holds, is, refused, some};

pub async fn head_reports_the_storage_class(server: &Server) -> Verdict {
    for class in [StorageClass::StandardIa, StorageClass::GlacierIr, StorageClass::DeepArchive] {
        server.put("key", BODY).storage_class(class.clone()).send().await?;

        is("class", server.head("key").send().await?.storage_class(), Some(&class))?;
    }
    Ok(Held)
}

pub async fn a_listing_reports_the_storage_class(server: &Server) -> Verdict {
    archived(server).await?;

    let listed = server.list("").send().await?;

    let classes = listed.contents().iter().filter_map(|object| object.storage_class());
    is("classes", classes.map(|class| class.as_str()).collect(), vec!["DEEP_ARCHIVE"])?;
    Ok(Held)
}

pub async fn an_unknown_storage_class_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", BODY).storage_class("NO_SUCH_CLASS".into());

    refused(put.send().await, &["400"])?;
    Ok(Held)
}

pub async fn an_archived_object_is_not_readable(server: &Server) -> Verdict {
    archived(server).await?;

    refused(server.get("key").send().await, &["InvalidObjectState"])?;
    Ok(Held)
}

pub async fn a_thaw_request_is_accepted_and_takes_time(server: &Server) -> Verdict {
    archived(server).await?;

    let (status, answer) = restore_with_status(server).await;

    answer?;
    is("status", status, 202)?;
    refused(server.get("key").send().await, &["InvalidObjectState"])?;
    Ok(Held)
}

pub async fn head_reports_a_thaw_in_progress(server: &Server) -> Verdict {
    archived(server).await?;
    is("before", server.head("key").send().await?.restore(), None)?;

    restore(server).send().await?;

    let head = server.head("key").send().await?;
    let is_in_progress = head.restore() == Some("ongoing-request=\"true\"");
    holds(
        is_in_progress,
        if head.restore().is_some() { "reported as done" } else { "not reported" },
    )?;
    Ok(Held)
}

pub async fn a_listing_reports_a_thaw_in_progress(server: &Server) -> Verdict {
    archived(server).await?;
    restore(server).send().await?;

    let listed = server.list("");
    let listed = listed.optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
    let listed = listed.send().await?;

    let object = some("object", listed.contents().first())?;
    let status = some("RestoreStatus", object.restore_status())?;
    is("in progress", status.is_restore_in_progress(), Some(true))?;
    Ok(Held)
}

pub async fn a_repeated_thaw_request_is_answered_as_in_progress(server: &Server) -> Verdict {
    archived(server).await?;
    restore(server).send().await?;

    refused(restore(server).send().await, &["RestoreAlreadyInProgress"])?;
    Ok(Held)
}

pub async fn a_thaw_of_an_object_that_is_not_archived_is_refused(server: &Server) -> Verdict {
    server.stored("key", BODY).await?;

    refused(restore(server).send().await, &["InvalidObjectState"])?;
    Ok(Held)
}

async fn archived(server: &Server) -> Result<(), Differs> {
    server.put("key", BODY).storage_class(StorageClass::DeepArchive).send().await?;
    Ok(())
}

/// Requests the cheapest thaw.
fn restore(server: &Server) -> RestoreObjectFluentBuilder {
    let tier = GlacierJobParameters::builder().tier(Tier::Bulk).build().expect("it has a tier");
    let request = RestoreRequest::builder().days(1).glacier_job_parameters(tier).build();
    let call = server.client.restore_object().bucket(&server.bucket);
    call.key(server.key("key")).restore_request(request)
}

type Restored = Result<RestoreObjectOutput, SdkError<RestoreObjectError, HttpResponse>>;

/// Requests a thaw; returns the status of the answer too.
async fn restore_with_status(server: &Server) -> (u16, Restored) {
    let recorder = StatusRecorder::default();
    let answer = restore(server).customize().interceptor(recorder.clone()).send().await;
    (recorder.get(), answer)
}
