//! More calls than places.

use super::*;

#[tokio::test]
async fn crowds_wait_and_then_are_turned_away() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = Server::start(move |_, _| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            ok(b"")
        }
    });
    let mut section = section(&[&server.url()]);
    section.concurrency_max = 1;
    let upstream = build(section);
    let calls: Vec<_> = (0..=limit::WAITING_MAX + 1)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { upstream.unary(call()).await })
        })
        .collect();
    let mut calls = calls.into_iter();
    let last = calls.next_back().unwrap();
    let error = last.await.unwrap().unwrap_err();
    assert_eq!(facts(&error), (Code::Unavailable, Some(Reason::LimitExceeded)));
    assert_eq!(upstream.health().in_flight, 1);
    release.send(true).unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.calls(), limit::WAITING_MAX + 1);
}

#[tokio::test]
async fn who_waits_for_a_place_until_the_time_is_over_hears_that_nothing_was_sent() {
    let server = Server::start(|_, _| std::future::pending());
    let mut section = section(&[&server.url()]);
    section.concurrency_max = 1;
    let upstream = build(section);
    let holding = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { upstream.unary(call()).await }
    });
    while upstream.health().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let error =
        upstream.unary(Call { timeout: Some(named(Duration::from_millis(20))), ..call() }).await.unwrap_err();
    assert_eq!(facts(&error), TIMEOUT);
    assert!(error.message().contains("Nothing was sent"), "{error}");
    holding.abort();
}
