//! Interceptors of the AWS SDK, for tests that speak S3 without the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;

/// Replaces the signed body with another one before it is sent.
#[derive(Debug)]
pub struct SwappedBody(pub String);

impl Intercept for SwappedBody {
    fn name(&self) -> &'static str {
        "SwappedBody"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *context.request_mut().body_mut() = SdkBody::from(self.0.as_str());
        Ok(())
    }
}

/// Records the status of an answer, which the client does not expose.
#[derive(Clone, Debug, Default)]
pub struct StatusRecorder(Arc<AtomicU16>);

impl StatusRecorder {
    pub fn get(&self) -> u16 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for StatusRecorder {
    fn name(&self) -> &'static str {
        "StatusRecorder"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(context.response().status().as_u16(), Ordering::Relaxed);
        Ok(())
    }
}
