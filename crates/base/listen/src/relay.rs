//! Bodies that are made where the handler runs, and sent by another thread.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::Frame;
use tokio::sync::mpsc;

/// Pieces that wait to be sent.
const MAX_QUEUED_CHUNKS: usize = 2;

type Piece = Result<Frame<Bytes>, axum::Error>;

/// Why an answer ends in its middle.
#[derive(Debug, thiserror::Error)]
#[error("the task that made this answer ended before it")]
struct Unfinished;

/// An answer whose body is made by a task of this runtime. One that is there already stays as it is.
pub(crate) fn relayed(response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let (sender, pieces) = mpsc::channel(MAX_QUEUED_CHUNKS);
        tokio::spawn(make(body, sender));
        Body::new(Relayed {
            pieces,
            is_whole: false,
        })
    })
}

/// Sends all pieces, and then that these were all.
async fn make(mut body: Body, sender: mpsc::Sender<Option<Piece>>) {
    loop {
        let piece = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let piece = tokio::select! {
            piece = piece => piece,
            // Nobody waits for it any more.
            () = sender.closed() => return,
        };
        let was_last = piece.is_none();
        if sender.send(piece).await.is_err() || was_last {
            return;
        }
    }
}

/// The other end.
struct Relayed {
    pieces: mpsc::Receiver<Option<Piece>>,
    is_whole: bool,
}

impl HttpBody for Relayed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        self.is_whole = !matches!(piece, Some(Some(Ok(_))));
        // Half an answer is not to look like a whole one.
        Poll::Ready(piece.unwrap_or_else(|| Some(Err(axum::Error::new(Unfinished)))))
    }
}
