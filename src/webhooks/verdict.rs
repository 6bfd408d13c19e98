//! What an attempt comes to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ladder::{self, Control};
use crate::{
    egress::{Answer, Fault},
    model::{Attempt, DeliveryState},
    store::{Leased, Verdict},
};

/// Bytes of the words about a failure.
const DETAIL_BYTES_MAX: usize = 500;

/// A verdict, and what it means for the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Why the endpoint is to be disabled.
    pub(super) disable: Option<String>,
    /// Until when the endpoint is to be left alone.
    pub(super) pause: Option<Timestamp>,
    pub(super) succeeded: bool,
    /// Where it was sent: what its answer means for the endpoint holds only while that is where the endpoint is.
    pub(super) url: String,
}

/// When an attempt began, how long it took, and a number in 0..1 that moves the wait after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) started_at: Timestamp,
    pub(super) took: Duration,
    pub(super) random: f64,
}

/// Judges an attempt at an address.
pub(super) fn of(leased: &Leased, url: &str, answer: Result<Answer, Fault>, timing: Timing) -> Judged {
    let now = timing.started_at.saturating_add(timing.took).unwrap_or(timing.started_at);
    let mut attempt = Attempt {
        number: 0,
        started_at: timing.started_at,
        took: timing.took,
        status: None,
        error: String::new(),
        detail: String::new(),
        answer: Vec::new(),
    };
    let (mut hint, mut pause, mut disable, mut succeeded) = (None, None, None, false);
    let last = match answer {
        Ok(answer) => {
            hint = ladder::retry_after(&answer.headers, now);
            pause = ladder::pause(answer.status, hint);
            let control = ladder::control(answer.status, &answer.headers);
            succeeded = answer.status.is_success();
            disable = (control == Some(Control::Disable))
                .then(|| format!("the receiver said so with status {}", answer.status.as_u16()));
            attempt.status = Some(answer.status.as_u16());
            if !succeeded {
                attempt.error = if answer.status.is_redirection() { "REDIRECT" } else { "STATUS" }.to_owned();
                attempt.detail = format!("answered {}, which is not 2xx", answer.status.as_u16());
            }
            attempt.answer = answer.body.to_vec();
            control.is_some()
        }
        Err(fault) => {
            attempt.error = fault.class().to_owned();
            attempt.detail = cut(fault.to_string());
            matches!(fault, Fault::Refused(_))
        }
    };
    let wait = ladder::wait(leased.step, hint, timing.random);
    let (state, due_at) = match wait {
        _ if succeeded => (DeliveryState::Succeeded, now),
        _ if last => (DeliveryState::Failed, now),
        None => (DeliveryState::Exhausted, now),
        Some(wait) => (DeliveryState::Pending, later(now, wait)),
    };
    let verdict = Verdict {
        endpoint: leased.endpoint.clone(),
        event: leased.event.id.clone(),
        fence: leased.fence,
        state,
        due_at,
        step: leased.step + u32::from(state == DeliveryState::Pending),
        attempt,
    };
    Judged { verdict, disable, pause: pause.map(|pause| later(now, pause)), succeeded, url: url.to_owned() }
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(now)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::{
        egress::{Policy, Target},
        model::WebhookEvent,
    };

    /// Status and headers.
    type Told<'a> = (u16, &'a [(&'static str, &'static str)]);

    fn judge(step: u32, answer: Result<Told<'_>, Fault>) -> Judged {
        let event = WebhookEvent {
            id: "evt_1".into(),
            project: "p".into(),
            kind: "ping".into(),
            time: Timestamp::UNIX_EPOCH,
            data: "{}".into(),
            upstream: String::new(),
            source: String::new(),
        };
        let leased = Leased { endpoint: "e".into(), event, fence: 3, step };
        let answer = answer.map(|(status, headers)| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>(),
            body: Bytes::from_static(b"body"),
        });
        let timing = Timing { started_at: Timestamp::UNIX_EPOCH, took: Duration::ZERO, random: 0.5 };
        of(&leased, "https://x.test/", answer, timing)
    }

    #[test]
    fn every_answer_has_its_consequence() {
        use DeliveryState::{Exhausted, Failed, Pending, Succeeded};
        let refused = || Fault::Refused(Target::parse("https://10.0.0.1/", &Policy::default()).unwrap_err());
        let after = |secs| Timestamp::from_second(secs).unwrap();
        for (step, answer, state, error, due) in [
            (0, Ok((200, &[][..])), Succeeded, "", 0),
            (0, Ok((204, &[])), Succeeded, "", 0),
            (0, Ok((302, &[])), Pending, "REDIRECT", 5),
            (1, Ok((500, &[])), Pending, "STATUS", 300),
            (0, Ok((429, &[("retry-after", "60")])), Pending, "STATUS", 60),
            (0, Ok((410, &[])), Failed, "STATUS", 0),
            (0, Ok((400, &[("webhook-delivery", "abort-message")])), Failed, "STATUS", 0),
            (9, Ok((500, &[])), Exhausted, "STATUS", 0),
            (0, Err(refused()), Failed, "REFUSED_TARGET", 0),
            (0, Err(Fault::Dns("no".into())), Pending, "DNS", 5),
            (0, Err(Fault::Expired("since May".into())), Pending, "TLS_EXPIRED", 5),
            (8, Err(Fault::Timeout("the answer")), Pending, "TIMEOUT", 86_400),
        ] {
            let judged = judge(step, answer.clone());
            let verdict = &judged.verdict;
            assert_eq!(
                (verdict.state, verdict.attempt.error.as_str(), verdict.due_at),
                (state, error, after(due)),
                "{answer:?}"
            );
            assert_eq!(verdict.step, step + u32::from(state == Pending), "{answer:?}");
        }
    }

    #[test]
    fn a_receiver_that_says_so_is_paused_or_disabled() {
        assert_eq!(judge(0, Ok((503, &[("retry-after", "30")]))).pause, Timestamp::from_second(30).ok());
        assert_eq!(judge(0, Ok((500, &[("retry-after", "30")]))).pause, None);
        assert!(judge(0, Ok((410, &[]))).disable.is_some());
        let thanks = judge(0, Ok((200, &[("webhook-delivery", "disable")])));
        assert!(thanks.succeeded && thanks.disable.is_some());
    }
}
