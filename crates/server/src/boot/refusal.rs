//! Heads that are not HTTP never reach the router: the HTTP library answers them itself, with a bare status. This
//! wrapper around the socket gives those answers the error envelope like every other refusal.
//!
//! The library writes such an answer in one piece, as the first bytes after a request, without a request id; answers of
//! the router always carry one. Bodies cannot be mistaken for it, because only a whole buffer of exactly this form counts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tandem_core::{
    error::{Code, Failure},
    ports::Ids,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::system::SystemIds;

pub struct Courteous<S> {
    inner: S,
    /// An answer that replaces a bare one, as far as it is not written yet.
    instead: Vec<u8>,
}

impl<S> Courteous<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, instead: Vec::new() }
    }
}

/// The status of a bare refusal of the HTTP library.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    if bytes.len() > 256 || !bytes.starts_with(b"HTTP/1.") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let status: u16 = text.get(9..12)?.parse().ok().filter(|status| matches!(status, 400 | 414 | 431))?;
    let lower = text.to_ascii_lowercase();
    (lower.contains("\r\ncontent-length: 0\r\n") && !lower.contains("x-request-id")).then_some(status)
}

fn envelope(status: u16) -> Vec<u8> {
    let (reason, message) = match status {
        414 => ("URI Too Long", "The request's path is too long."),
        431 => ("Request Header Fields Too Large", "The request's head is too large."),
        _ => ("Bad Request", "The request's head is not valid HTTP."),
    };
    let id = SystemIds.fresh();
    let mut body = Failure::new(Code::ValidationFailed, message).status(status).body();
    body["request_id"] = id.as_str().into();
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n\
         cache-control: no-store\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl<S: AsyncRead + Unpin> AsyncRead for Courteous<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Courteous<S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Courteous<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if let Some(status) = bare_refusal(bytes) {
            // Taken over whole: the library sees its own bytes as written, and the flush sends ours.
            self.instead = envelope(status);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        match slices {
            [only] => self.poll_write(cx, only),
            slices => Pin::new(&mut self.inner).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
