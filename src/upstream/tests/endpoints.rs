//! Several endpoints, of which some are dead or silent.

use super::*;

#[tokio::test]
async fn one_dead_endpoint_fails_no_call_while_another_lives() {
    let server = Server::saying(b"alive");
    let upstream = build(section(&[&dead().await, &server.url(), &dead().await]));
    for _ in 0..50 {
        assert_eq!(upstream.unary(call()).await.unwrap().message, "alive");
    }
    assert_eq!(server.calls(), 50);
    let health = upstream.health();
    assert_eq!((health.status, health.endpoints_up, health.endpoints_down), (HealthStatus::Ready, 1, 2));
}

/// Twice a minute a call had to find out that an endpoint still hangs, and waited for it.
#[tokio::test]
async fn nobody_waits_for_an_endpoint_that_is_looked_at_again() {
    let (gone, server) = (dead().await, Server::saying(b"alive"));
    let mut section = section(&[&gone, &server.url()]);
    section.connect_timeout = Duration::from_secs(3600);
    let upstream = build(section);
    for _ in 0..2 {
        assert_eq!(upstream.unary(call()).await.unwrap().message, "alive");
    }
    // It is there again, and hangs.
    let hung = TcpListener::bind(gone.trim_start_matches("http://")).await.unwrap();
    let came = tokio::spawn(async move { hung.accept().await.unwrap() });
    let calls = async {
        while !came.is_finished() {
            assert_eq!(upstream.unary(call()).await.unwrap().message, "alive");
        }
    };
    timeout(Duration::from_secs(30), calls).await.expect("nobody waits for it");
    assert_eq!(upstream.unary(call()).await.unwrap().message, "alive");
}

#[tokio::test]
async fn living_endpoints_share_the_work() {
    let (one, two) = (Server::saying(b""), Server::saying(b""));
    let upstream = build(section(&[&one.url(), &two.url()]));
    for _ in 0..20 {
        upstream.unary(call()).await.unwrap();
    }
    assert_eq!((one.calls(), two.calls()), (10, 10));
}

#[tokio::test]
async fn calls_that_wait_behind_a_silent_address_fail_with_it_and_not_in_turn() {
    let (address, _full) = silent().await;
    let mut section = section(&[&address]);
    section.connect_timeout = Duration::from_millis(300);
    section.breaker.failures = 0;
    let upstream = build(section);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { upstream.unary(call()).await.unwrap_err() })
        })
        .collect();
    let all = async {
        for call in calls {
            assert_eq!(facts(&call.await.unwrap()), UNAVAILABLE);
        }
    };
    timeout(Duration::from_secs(3), all).await.expect("twenty times 300 ms would be six seconds");
}
