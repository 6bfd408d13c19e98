//! A body that a task fills.

use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};

use crate::error::Error;

/// What a task has to tell. The task ends when this is dropped.
pub(super) struct Feed {
    lines: mpsc::Receiver<Bytes>,
    _task: JoinSet<()>,
}

impl Feed {
    pub(super) fn new(lines: mpsc::Receiver<Bytes>, task: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        Self { lines, _task: tasks }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.lines.poll_recv(cx).map(|line| line.map(Ok))
    }
}
