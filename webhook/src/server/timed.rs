//! A connection that ends itself when its peer takes too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::Limits;

/// A head is read: the state of a new connection.
const HEAD: u8 = 0;
/// A request is served; its body has a time-out of its own.
const SERVING: u8 = 1;
/// An answer was given; the wait for the next request has yet to be timed.
const ANSWERED: u8 = 2;
/// The next request is waited for.
const IDLE: u8 = 3;

/// How far a connection has come; shared with what serves it.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// A request is served for as long as what is returned lives.
    pub(super) fn serving(&self) -> Served {
        self.0.store(SERVING, Relaxed);
        Served(self.clone())
    }
}

pub(super) struct Served(Progress);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.0.store(ANSWERED, Relaxed);
    }
}

/// Adds time-outs for reading a head, for idling and for taking an answer.
pub(super) struct Timed<S> {
    inner: S,
    progress: Progress,
    head: Duration,
    idle: Duration,
    writing: Duration,
    read_until: Pin<Box<Sleep>>,
    write_until: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(super) fn new(inner: S, progress: Progress, limits: Limits) -> Self {
        Self {
            inner,
            progress,
            head: limits.head,
            idle: limits.idle,
            writing: limits.writing,
            read_until: Box::pin(sleep(limits.head)),
            write_until: None,
        }
    }

    fn wrote<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.write_until = None;
            return poll;
        }
        let until = self
            .write_until
            .get_or_insert_with(|| Box::pin(sleep(self.writing)));
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(late("taking the answer"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("too slow in {what}"))
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.progress.0.load(Relaxed);
        if state == ANSWERED {
            this.read_until.as_mut().reset(Instant::now() + this.idle);
            state = IDLE;
            this.progress.0.store(IDLE, Relaxed);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if state == IDLE && buffer.filled().len() > before => {
                this.read_until.as_mut().reset(Instant::now() + this.head);
                this.progress.0.store(HEAD, Relaxed);
                Poll::Ready(Ok(()))
            }
            Poll::Pending if state != SERVING => match this.read_until.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(late("sending a request"))),
                Poll::Pending => Poll::Pending,
            },
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.wrote(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.wrote(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_flush(context);
        this.wrote(context, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_shutdown(context);
        this.wrote(context, poll)
    }
}
