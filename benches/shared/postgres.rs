//! What the server's processes cost, as the system counts it.

use std::{fs, time::Duration};

use sqlx::Connection as _;

/// The processes of a Postgres server on this machine.
pub(crate) struct Postgres {
    postmaster: u32,
}

impl Postgres {
    /// Finds the server that a URL leads to.
    pub(crate) async fn find(url: &str) -> sqlx::Result<Self> {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        let (postmaster, _) = stat(&backend.to_string())
            .ok_or_else(|| sqlx::Error::Configuration("the server is not on this machine".into()))?;
        Ok(Self { postmaster })
    }

    /// Processor time of all of them, of those that have ended too; the system counts it in hundredths of a second.
    pub(crate) fn processor_time(&self) -> Duration {
        let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
        let ticks: u64 = names
            .filter_map(|name| Some((name.parse::<u32>().ok()?, stat(&name)?)))
            .filter(|(process, (parent, _))| *process == self.postmaster || *parent == self.postmaster)
            .map(|(_, (_, ticks))| ticks)
            .sum();
        Duration::from_millis(ticks * 10)
    }
}

/// Parent and processor time of a process, in hundredths of a second; of its former children too.
fn stat(process: &str) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}
