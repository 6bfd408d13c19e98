//! How an operation moves. Pure: the only place that decides about states.

use crate::model::{EventKind, State};

/// What somebody saw of an operation: the poller, a caller's own GET, a list page, a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It waits.
    Pending,
    /// It is at work.
    Running,
    /// Somebody asked it to stop.
    CancelRequested,
    /// It is done, with a result or without.
    Succeeded,
    /// It failed for a reason of its own.
    Failed,
    /// It failed because it was stopped, as far as its words tell.
    Stopped,
    /// It ended as cancelled.
    Cancelled,
    /// The upstream does not know it, though it is young: an upstream may not have told all its replicas yet.
    NotYetThere,
    /// The upstream does not know it.
    Gone,
    /// A newer run has taken its place.
    Superseded,
    /// The upstream cannot do it, or cannot tell about it.
    Unsupported,
    /// It is too old to go on asking.
    TooOld,
}

impl Observation {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Running,
        Self::CancelRequested,
        Self::Succeeded,
        Self::Failed,
        Self::Stopped,
        Self::Cancelled,
        Self::NotYetThere,
        Self::Gone,
        Self::Superseded,
        Self::Unsupported,
        Self::TooOld,
    ];
}

/// Returns the state that follows, and what there is to tell about it. What has ended stays as it ended.
pub fn transition(state: State, seen: Observation) -> (State, Option<EventKind>) {
    use Observation as O;
    if state.is_final() {
        return (state, None);
    }
    match seen {
        O::Pending | O::NotYetThere => (state, None),
        O::Running if state == State::Pending => (State::Running, Some(EventKind::Progressed)),
        O::Running => (state, None),
        O::CancelRequested if state == State::Cancelling => (state, None),
        O::CancelRequested => (State::Cancelling, Some(EventKind::Progressed)),
        O::Succeeded => (State::Succeeded, Some(EventKind::Succeeded)),
        // Systems without a word for it call what was stopped a failure.
        O::Stopped if state == State::Cancelling => (State::Cancelled, Some(EventKind::Cancelled)),
        O::Failed | O::Stopped => (State::Failed, Some(EventKind::Failed)),
        O::Cancelled => (State::Cancelled, Some(EventKind::Cancelled)),
        O::Gone => (State::Lost, Some(EventKind::Lost)),
        O::Superseded => (State::Superseded, Some(EventKind::Superseded)),
        O::Unsupported => (State::Unsupported, Some(EventKind::Unsupported)),
        O::TooOld => (State::Unknown, Some(EventKind::Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows from each observation, for PENDING, RUNNING and CANCELLING.
    const OPEN: [(Observation, [State; 3]); 12] = {
        use State as S;
        let (p, r, c) = (S::Pending, S::Running, S::Cancelling);
        [
            (Observation::Pending, [p, r, c]),
            (Observation::Running, [r, r, c]),
            (Observation::CancelRequested, [c, c, c]),
            (Observation::Succeeded, [S::Succeeded; 3]),
            (Observation::Failed, [S::Failed; 3]),
            (Observation::Stopped, [S::Failed, S::Failed, S::Cancelled]),
            (Observation::Cancelled, [S::Cancelled; 3]),
            (Observation::NotYetThere, [p, r, c]),
            (Observation::Gone, [S::Lost; 3]),
            (Observation::Superseded, [S::Superseded; 3]),
            (Observation::Unsupported, [S::Unsupported; 3]),
            (Observation::TooOld, [S::Unknown; 3]),
        ]
    };

    #[test]
    fn every_open_state_moves_as_the_table_says() {
        assert_eq!(OPEN.map(|(seen, _)| seen), Observation::ALL, "the table knows every observation");
        for (seen, expected) in OPEN {
            for (from, to) in [State::Pending, State::Running, State::Cancelling].into_iter().zip(expected) {
                let (state, event) = transition(from, seen);
                assert_eq!(state, to, "{from:?} {seen:?}");
                assert_eq!(
                    event.is_some(),
                    from != to,
                    "{from:?} {seen:?}: an event for every move and no other"
                );
                let told = event.map(|event| event.name().trim_start_matches("operation.").to_uppercase());
                if to.is_final() {
                    assert_eq!(told.as_deref(), Some(to.name()), "the event is named as the end");
                }
            }
        }
    }

    #[test]
    fn what_has_ended_stays_as_it_ended() {
        for state in State::ALL.iter().filter(|state| state.is_final()) {
            for seen in Observation::ALL {
                assert_eq!(transition(*state, *seen), (*state, None), "{state:?} {seen:?}");
            }
        }
    }
}
