//! Connections to endpoints, which let an answer be read that comes before the request is sent.
//!
//! An endpoint that refuses a request at its beginning answers and closes. What is then still
//! written to it fails, and hyper gives up the connection for that, although the answer lies there
//! to be read. So a failure to write is kept back: reading either finds the answer, or finds the
//! end of the connection as well.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::ServiceExt as _;
use tower::util::MapResponse;

/// Makes connections to endpoints, by TLS where the address says `https`.
pub(crate) type Connector =
    HttpsConnector<MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> ToEndpoint>>;

/// `deadline` is how long a connection may take.
pub(crate) fn connector(deadline: Duration, tls: ClientConfig) -> Connector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(deadline));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let to_endpoint: fn(TokioIo<TcpStream>) -> ToEndpoint = ToEndpoint;
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector.map_response(to_endpoint))
}

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) struct ToEndpoint(TokioIo<TcpStream>);

/// What was written, or nothing for now when the other side has closed.
fn kept_back<T>(written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    match written {
        // The reader is woken by the same end of the connection, so nothing waits for ever.
        Poll::Ready(Err(error))
            if matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) =>
        {
            Poll::Pending
        }
        written => written,
    }
}

impl Connection for ToEndpoint {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for ToEndpoint {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for ToEndpoint {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        kept_back(Pin::new(&mut self.0).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        kept_back(Pin::new(&mut self.0).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
