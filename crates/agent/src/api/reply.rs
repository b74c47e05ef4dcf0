//! What goes back to who asked.

use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// The body of an answer.
pub(crate) enum Reply {
    /// Known as a whole.
    Whole(Option<Bytes>),
    /// Lines, as they come.
    Lines(mpsc::Receiver<Vec<u8>>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Lines(lines) => lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Lines(_) => SizeHint::default(),
        }
    }
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Reply> {
    of_type(status, "text/plain; charset=utf-8", text)
}

pub(super) fn of_type(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Reply> {
    with(status, kind, Reply::Whole(Some(text.into())))
}

pub(super) fn json(value: &impl Serialize) -> Response<Reply> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    of_type(StatusCode::OK, "application/json", text)
}

pub(super) fn lines(lines: mpsc::Receiver<Vec<u8>>) -> Response<Reply> {
    with(StatusCode::OK, "application/jsonl", Reply::Lines(lines))
}

pub(super) fn unauthorized() -> Response<Reply> {
    let mut response = text(StatusCode::UNAUTHORIZED, "the agents' token is asked for: Authorization: Bearer TOKEN\n");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn with(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
