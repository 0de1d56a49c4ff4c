//! Request handlers as [`tower_service::Service`], so that its layers (timeouts, limits, tracing) are the
//! chain of handlers.

use super::{CallError, Conn, HandlerError, Handlers};
use bytes::Bytes;
use spanwire_core::link::{End, Parcel};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tower_service::Service;

/// A connection is a service: it sends requests to the peer.
impl Service<Parcel> for Conn {
    type Response = Bytes;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send>>;

    /// Always ready: a request that finds no room waits for it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(match self.end() {
            Some(end) => Err(CallError::Closed(end)),
            None => Ok(()),
        })
    }

    fn call(&mut self, request: Parcel) -> Self::Future {
        let conn = self.clone();
        Box::pin(async move { Conn::call(&conn, request).await })
    }
}

impl Conn {
    /// Answers requests with a service until the connection ends, and returns how it did. The service is
    /// asked whether it is ready before each request; while it is not, the others wait.
    pub async fn serve_with<S>(&self, service: S) -> End
    where
        S: Service<Parcel> + Send + 'static,
        S::Response: Into<Bytes>,
        S::Error: Into<HandlerError>,
        S::Future: Send + 'static,
    {
        self.serve(&Handlers::service(service)).await
    }
}

impl Handlers {
    /// A service that handles every request.
    pub fn service<S>(service: S) -> Self
    where
        S: Service<Parcel> + Send + 'static,
        S::Response: Into<Bytes>,
        S::Error: Into<HandlerError>,
        S::Future: Send + 'static,
    {
        let service = Arc::new(Mutex::new(service));
        Self::new().otherwise(move |parcel, _: Conn| {
            let service = service.clone();
            async move {
                let mut parcel = Some(parcel);
                // Ready and called under the same lock, as the contract of services asks: another request
                // must not take the place in between.
                let called = poll_fn(|cx| {
                    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
                    service.poll_ready(cx).map_ok(|()| parcel.take().map(|parcel| service.call(parcel)))
                });
                match called.await.map_err(Into::into)? {
                    Some(answer) => answer.await.map_err(Into::into),
                    None => Err(HandlerError::from("the request was taken twice")),
                }
            }
        })
    }
}
