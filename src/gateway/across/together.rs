//! Several futures that borrow, at once.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

type Running<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// Futures that run at once. Few of them: whenever one can go on, all are asked. Dropping it ends them.
pub(super) struct Together<'f, T>(Vec<Running<'f, T>>);

impl<'f, T> Together<'f, T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(&mut self, future: impl Future<Output = T> + Send + 'f) {
        self.0.push(Box::pin(future));
    }

    /// Waits for the next that ends; `None` when there is none left.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        for at in 0..self.0.len() {
            if let Poll::Ready(value) = self.0[at].as_mut().poll(cx) {
                drop(self.0.swap_remove(at));
                return Poll::Ready(Some(value));
            }
        }
        Poll::Pending
    }
}
