//! Reads a server stream in a separate task.

use std::future::Future;

use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Code, Response, Status, Streaming};

use super::within_timeout;

/// A server stream and the call that opens it.
///
/// A Go server sends its response headers with the first message, so the call that opens a stream may not return until
/// then. The reader therefore makes the call in its own task.
pub struct StreamReader<T> {
    what: String,
    inbox: mpsc::UnboundedReceiver<Result<T, Status>>,
    reader: JoinHandle<()>,
}

impl<T: Send + std::fmt::Debug + 'static> StreamReader<T> {
    pub fn open(
        what: &str,
        call: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
    ) -> Self {
        let (outbox, inbox) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            let mut stream = match call.await {
                Ok(response) => response.into_inner(),
                Err(status) => {
                    let _ = outbox.send(Err(status));
                    return;
                }
            };
            while let Some(message) = stream.message().await.transpose() {
                if outbox.send(message).is_err() {
                    return;
                }
            }
        });
        Self { what: what.to_owned(), inbox, reader }
    }

    /// Returns the next message, the error that ended the stream, or `None` at its end.
    pub async fn next(&mut self) -> Option<Result<T, Status>> {
        within_timeout(&self.what, self.inbox.recv()).await
    }

    pub async fn message(&mut self) -> T {
        match self.next().await {
            Some(Ok(message)) => message,
            other => panic!("{}: expected a message, got {other:?}", self.what),
        }
    }

    /// Asserts that the stream ends without an error and without another message.
    pub async fn expect_end(&mut self) {
        if let Some(other) = self.next().await {
            panic!("{}: expected the end of the stream, got {other:?}", self.what);
        }
    }

    /// Asserts that the stream ends with this error and without another message.
    pub async fn expect_error(&mut self, code: Code, text: &str) {
        match self.next().await {
            Some(Err(status)) => super::assert_refused(Err::<(), _>(status), code, text),
            other => panic!("{}: expected {code:?}, got {other:?}", self.what),
        }
    }

    /// Returns a message that has already arrived, if any.
    pub fn waiting(&mut self) -> Option<Result<T, Status>> {
        self.inbox.try_recv().ok()
    }
}

impl<T> Drop for StreamReader<T> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
