//! A bug in one request is a 500 for that request.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use crate::error::{Error, Result};

/// Runs `future`; a panic in it becomes an internal error whose cause is the panic's text. What the future shares with
/// others survives a panic: locks recover from poisoning and counters are atomics. The future stays where it is: an
/// `async fn` that takes one holds it twice.
pub(super) async fn caught<T>(mut future: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(payload) => Poll::Ready(Err(Error::internal(format!("panic: {}", text(payload.as_ref()))))),
    })
    .await
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::error::Reason;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_that_tells_the_caller_nothing() {
        let error = caught(pin!(async { if true { panic!("secret") } else { Ok(()) } }))
            .await
            .expect_err("it panics");
        assert_eq!(error.reason(), Some(Reason::Internal));
        assert!(!error.message().contains("secret"));
        assert!(error.told().ends_with("panic: secret"));
    }
}
