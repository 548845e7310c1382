//! No processes: nothing here looks into a pod.

use async_trait::async_trait;
use backstay_kubeapi::{
    Attachment, ByteStream, ExecRequest, LogOptions, PodName, PodRuntime, RuntimeError,
};
use bytes::Bytes;
use futures::stream::BoxStream;

pub struct Processes;

fn none() -> RuntimeError {
    RuntimeError::NotFound("pods have no processes here".to_owned())
}

#[async_trait]
impl PodRuntime for Processes {
    async fn logs(
        &self,
        _: &PodName,
        _: &LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RuntimeError> {
        Err(none())
    }

    async fn exec(&self, _: &PodName, _: ExecRequest) -> Result<Attachment, RuntimeError> {
        Err(none())
    }

    async fn connect(&self, _: &PodName, _: u16) -> Result<Box<dyn ByteStream>, RuntimeError> {
        Err(none())
    }
}
