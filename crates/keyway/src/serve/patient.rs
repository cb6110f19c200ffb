//! A caller that does not read its answer is not waited for without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose other end must take something of what is written within a time.
pub(super) struct Patient<T> {
    inner: T,
    limit: Duration,
    /// Set at the first wait and let go of when something moves: streams that never wait have none.
    waiting: Option<Pin<Box<Sleep>>>,
    on_end: Option<Box<dyn FnOnce() + Send>>,
}

impl<T> Patient<T> {
    /// Calls `on_end` if the other end was waited for in vain.
    pub(super) fn new(inner: T, limit: Duration, on_end: impl FnOnce() + Send + 'static) -> Self {
        Self {
            inner,
            limit,
            waiting: None,
            on_end: Some(Box::new(on_end)),
        }
    }

    /// What writing came to, or the end of patience.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let limit = self.limit;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        if let Some(on_end) = self.on_end.take() {
            on_end();
        }
        let what = "the caller does not read its answer";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.written(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, pieces);
        this.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LIMIT: Duration = Duration::from_secs(60);

    fn pair(
        room: usize,
    ) -> (
        Patient<tokio::io::DuplexStream>,
        tokio::io::DuplexStream,
        Arc<AtomicBool>,
    ) {
        let (near, far) = tokio::io::duplex(room);
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let near = Patient::new(near, LIMIT, move || tell.store(true, SeqCst));
        (near, far, told)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_given_up() {
        let (mut near, far, told) = pair(4);
        let error = near.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(told.load(SeqCst));
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_slow_is_waited_for() {
        let (mut near, mut far, told) = pair(4);
        let writing = near.write_all(b"more than fits in an hour");
        let reading = async {
            let mut read = Vec::new();
            while read.len() < 25 {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                read.push(far.read_u8().await.unwrap());
            }
            read
        };
        let (written, read) = tokio::join!(writing, reading);
        written.unwrap();
        assert_eq!(read, b"more than fits in an hour");
        assert!(!told.load(SeqCst));
    }
}
