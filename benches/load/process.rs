//! A process of the run, and what the system knows about it.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::payload::Outcome;

/// How long a process may take until it answers.
const READY_TIME_MAX: Duration = Duration::from_secs(30);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How long it has to end when it is asked to.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// A running process. Ended when dropped.
pub(crate) struct Process {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    started: Instant,
    log: PathBuf,
}

/// What a process holds in memory, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) now: u64,
    /// At most so far.
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a command that will listen on `address`. Its standard error goes to a file.
    pub(crate) fn start(name: &str, mut command: Command, address: SocketAddr) -> io::Result<Self> {
        let log = scratch(&format!("{name}.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let started = Instant::now();
        Ok(Self { address, child: command.spawn()?, started, log })
    }

    /// Waits until it answers a GET of `path` with 200, or takes connections where there is no path to ask for. Returns
    /// the time since it was started.
    pub(crate) async fn ready(&mut self, path: Option<&str>) -> Outcome<Duration> {
        while self.started.elapsed() < READY_TIME_MAX {
            if let Ok(Ok(true)) = timeout(READY_TIME_MAX, answers(self.address, path)).await {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended at start with {status}; see {}", self.log.display()).into());
            }
            sleep(ASK_EVERY).await;
        }
        Err(format!("not ready within {READY_TIME_MAX:?}; see {}", self.log.display()).into())
    }

    /// Returns the processor time that it has used: the nanoseconds of all its threads, as the scheduler counts them.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while the list is read.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Forgets how much memory it held so far, so that the peak is that of what comes next.
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        const PEAK: &str = "5";
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), PEAK)
    }

    /// Returns the memory that it holds.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
                .ok_or_else(|| format!("/proc/…/status has no {key}"))
        };
        Ok(Memory { now: kib("VmRSS")?, peak: kib("VmHWM")? })
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread that ends a process serves nobody")]
impl Drop for Process {
    fn drop(&mut self) {
        // A gateway takes its temporary files along when it is asked to end, and leaves them when it is killed.
        let _asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let until = Instant::now() + END_TIME_MAX;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(ASK_EVERY);
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answers(address: SocketAddr, path: Option<&str>) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let Some(path) = path else { return Ok(true) };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(answer == *b"HTTP/1.1 200")
}

/// Finds a port on loopback that is free now. Not every peer can be told to take any.
pub(crate) async fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}

/// Names a file for this run's own use.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{name}"))
}
