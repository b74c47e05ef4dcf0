//! Streams that remember how they began and ended: the client library only tells that they did end.

use crate::trouble;
use operations::port::Trouble;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of the beginning is remembered, bytes: enough for the longest reason that servers give before they close.
const OPENING: usize = 2048;
/// How much of an answer that is no reply is shown, characters.
const SHOWN: usize = 60;

/// A stream and what was seen of it.
pub(crate) struct Witness<S> {
    stream: S,
    testimony: Arc<Testimony>,
}

/// What was seen of a stream.
#[derive(Default)]
pub(crate) struct Testimony(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The first bytes that came.
    opening: Vec<u8>,
    /// Whether a batch was answered as a whole: then the opening tells nothing.
    answered: bool,
    end: Option<Trouble>,
}

impl<S> Witness<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<Testimony>) {
        let testimony = Arc::default();
        (Self { stream, testimony: Arc::clone(&testimony) }, testimony)
    }
}

impl Testimony {
    /// Takes down that a batch was answered as a whole.
    pub(crate) fn answered(&self) {
        self.seen().answered = true;
    }

    /// Whether nothing was answered yet: then the server may speak another protocol.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.seen().answered
    }

    /// What is wrong with a stream that the client library has given up.
    pub(crate) fn trouble(&self) -> Trouble {
        self.seen().trouble()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        let room = OPENING.saturating_sub(seen.opening.len());
        seen.opening.extend(bytes.iter().take(room));
        if bytes.is_empty() {
            seen.end.get_or_insert(Trouble::Closed);
        }
    }

    fn failed(&self, error: &io::Error) {
        self.seen().end.get_or_insert_with(|| trouble::of_io(error, ""));
    }
}

impl Seen {
    fn trouble(&self) -> Trouble {
        let opening = if self.answered { "".into() } else { String::from_utf8_lossy(&self.opening) };
        match (&self.end, opening.trim_end().split_once('\n')) {
            // A server that takes no clients, or not this one, says so before it closes.
            (Some(Trouble::Closed), None) if opening.starts_with('-') => {
                Trouble::from_refusal(opening.trim_start_matches('-').trim_end())
            }
            (Some(end), _) => end.clone(),
            // It was the client library that ended it.
            (None, _) => {
                let line: String = opening.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
                Trouble::Protocol(if line.is_empty() {
                    "a reply is malformed".into()
                } else {
                    format!("it says {line:?}")
                })
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        match &read {
            Ok(()) => self.testimony.came(buffer.filled().get(before..).unwrap_or_default()),
            Err(error) => self.testimony.failed(error),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witness<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(written.inspect_err(|error| self.testimony.failed(error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.inspect_err(|error| self.testimony.failed(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(opening: &str, end: Option<Trouble>) -> Trouble {
        Seen { opening: opening.into(), answered: false, end }.trouble()
    }

    #[test]
    fn what_a_server_says_before_it_closes_is_the_reason() {
        let closed = || Some(Trouble::Closed);
        assert_eq!(trouble("", closed()), Trouble::Closed);
        assert_eq!(trouble("-ERR too many\r\n", closed()), Trouble::Refusal("ERR too many".into()));
        assert_eq!(trouble("-NOAUTH x\r\n", closed()), Trouble::PasswordNeeded);
        assert_eq!(trouble("-ERR one\r\n+two\r\n", closed()), Trouble::Closed);
        assert_eq!(trouble("+OK\r\n", closed()), Trouble::Closed);
        let answered = Seen { opening: "-ERR x\r\n".into(), answered: true, end: closed() };
        assert_eq!(answered.trouble(), Trouble::Closed);
    }

    #[test]
    fn what_is_no_reply_is_shown_in_part() {
        assert_eq!(trouble("HTTP/1.1 400\r\nA: b", None), Trouble::Protocol("it says \"HTTP/1.1 400\"".into()));
        assert_eq!(trouble(&"x".repeat(2000), None), Trouble::Protocol(format!("it says {:?}", "x".repeat(60))));
        assert_eq!(trouble("", None), Trouble::Protocol("a reply is malformed".into()));
    }
}
