//! Drives a running server and measures it.
//!
//! The load comes from a client of its own ([`connection`]) that does little more than the system
//! calls, because server and client often share a machine. It is a closed loop: each client sends its
//! next request when the last one is answered.

mod connection;
mod job;
mod payload;
pub(crate) mod report;
mod stats;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::Output;
use crate::units;
use job::{Job, Target, Work};
use payload::Payload;
use stats::Measured;

/// Clients that store what is to be read, at least.
const FILLERS: usize = 64;

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) put: bool,
    pub(crate) get: bool,
    pub(crate) list: bool,
    pub(crate) sign: bool,
    pub(crate) sizes: Vec<u64>,
    pub(crate) concurrency: usize,
    pub(crate) threads: usize,
    pub(crate) fill_threads: usize,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) objects: u64,
    pub(crate) list_limit: u64,
    pub(crate) max_stored: u64,
    /// Leaves the bucket and its objects behind.
    pub(crate) keep: bool,
    /// A bucket that was left behind: what is in it is read, and it stays.
    pub(crate) bucket: Option<String>,
}

/// One measurement.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) operation: &'static str,
    pub(crate) size: u64,
    pub(crate) measured: Measured,
}

/// Measures what the plan says, in a bucket that is removed at the end, also after Ctrl-C.
pub(crate) async fn run(client: &Client, plan: &Plan, out: &Output) -> Result<Vec<Measurement>, Failure> {
    let address = resolve(client.base()).await?;
    if let Some(bucket) = &plan.bucket {
        return Run::new(plan, out, address, &|| Target::new(client, bucket)).until_interrupted().await;
    }
    let bucket = format!("bench-{}", uuid::Uuid::now_v7().simple());
    client.create_bucket(&bucket, serde_json::Map::new()).await?;
    let result = Run::new(plan, out, address, &|| Target::new(client, &bucket)).until_interrupted().await;
    if plan.keep {
        out.note(&format!("the bucket {bucket} stays"));
        return result;
    }
    let removed = tokio::select! {
        removed = client.delete_bucket(&bucket, true) => removed,
        () = interruption() => Err(Failure::Interrupted),
    };
    if let Err(failure) = &removed {
        out.item_failure(&format!("the bucket {bucket} is left behind"), failure);
    }
    result.and_then(|result| removed.map(|()| result))
}

/// Measures a plain server of files, which takes PUT and GET below `url`: the yardstick. What it stored stays.
pub(crate) async fn run_plain(
    url: &reqwest::Url,
    plan: &Plan,
    out: &Output,
) -> Result<Vec<Measurement>, Failure> {
    let address = resolve(url).await?;
    Run::new(plan, out, address, &|| Target::plain(url)).until_interrupted().await
}

struct Run<'a> {
    plan: &'a Plan,
    out: &'a Output,
    address: SocketAddr,
    target: &'a (dyn Fn() -> Target + Sync),
    cancel: CancellationToken,
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        out: &'a Output,
        address: SocketAddr,
        target: &'a (dyn Fn() -> Target + Sync),
    ) -> Self {
        Self { plan, out, address, target, cancel: CancellationToken::new() }
    }

    async fn until_interrupted(self) -> Result<Vec<Measurement>, Failure> {
        tokio::select! {
            result = self.measure() => result,
            () = interruption() => {
                self.cancel.cancel();
                self.out.note("interrupted");
                Err(Failure::Interrupted)
            }
        }
    }

    async fn measure(&self) -> Result<Vec<Measurement>, Failure> {
        let mut results = Vec::new();
        let mut listed = !self.plan.list;
        for size in self.plan.sizes.iter().copied() {
            let payload = Arc::new(Payload::new(size));
            let room = (self.plan.max_stored / size.max(1)).max(1);
            let objects = self.plan.objects.min(room);
            let mut stored = if self.plan.bucket.is_some() { objects } else { 0 };
            if self.plan.put {
                let keys = room.max(self.plan.concurrency as u64);
                let measured = self.phase("put", &payload, Work::Put { keys }, true).await?;
                stored = measured.started().min(keys);
                results.push(Measurement { operation: "put", size, measured });
            }
            if stored < objects && (self.plan.get || self.plan.sign || !listed) {
                self.out.note(&format!(
                    "storing {} objects of {}",
                    objects - stored,
                    units::exact_size(size)
                ));
                let filled =
                    self.phase("fill", &payload, Work::Fill { from: stored, to: objects }, false).await?;
                if let Some((what, _)) = filled.error_kinds().first() {
                    return Err(anyhow::anyhow!("cannot store the objects to read: {what}").into());
                }
            }
            if self.plan.get {
                let measured = self.phase("get", &payload, Work::Get { objects }, true).await?;
                results.push(Measurement { operation: "get", size, measured });
            }
            if self.plan.sign {
                let measured = self.phase("sign", &payload, Work::Sign { objects }, true).await?;
                results.push(Measurement { operation: "sign", size, measured });
            }
            if !listed {
                listed = true;
                let work = Work::List {
                    folders: objects.div_ceil(self.plan.list_limit),
                    limit: self.plan.list_limit,
                };
                let measured = self.phase("list", &payload, work, true).await?;
                results.push(Measurement { operation: "list", size, measured });
            }
        }
        Ok(results)
    }

    /// Runs one kind of work on all threads; `timed` work ends by the clock, other work when it is done.
    async fn phase(
        &self,
        name: &str,
        payload: &Arc<Payload>,
        work: Work,
        timed: bool,
    ) -> Result<Measured, Failure> {
        if timed {
            let size = units::exact_size(payload.size());
            let (clients, seconds) = (self.plan.concurrency, self.plan.duration.as_secs_f64());
            self.out.note(&format!("{name} {size}, {clients} clients, {seconds} s"));
        }
        let job = Job {
            address: self.address,
            target: (self.target)(),
            payload: payload.clone(),
            work,
            per_folder: self.plan.list_limit,
            time: timed.then_some((self.plan.warmup, self.plan.duration)),
            cancel: self.cancel.clone(),
            next: std::sync::atomic::AtomicU64::new(0),
        };
        // Filling is not measured: it takes as many clients as it needs to be over soon.
        let (concurrency, threads) = match timed {
            true => (self.plan.concurrency, self.plan.threads),
            false => (self.plan.concurrency.max(FILLERS), self.plan.fill_threads),
        };
        let measured = tokio::task::spawn_blocking(move || job.run(concurrency, threads)).await;
        Ok(measured.map_err(anyhow::Error::from)??)
    }
}

/// Ctrl-C, or the polite kill.
async fn interruption() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => if pressed.is_err() { std::future::pending::<()>().await },
        () = terminated => {}
    }
}

async fn resolve(base: &reqwest::Url) -> Result<SocketAddr, Failure> {
    if base.scheme() != "http" {
        return Err(Failure::Usage("bench speaks plain HTTP only; point it behind the TLS proxy".to_owned()));
    }
    let host = base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = base.port_or_known_default().unwrap_or(80);
    let unreachable = |reason: String| Failure::Unreachable { url: base.to_string(), reason };
    let mut found =
        tokio::net::lookup_host((host, port)).await.map_err(|error| unreachable(error.to_string()))?;
    found.next().ok_or_else(|| unreachable("the name has no address".to_owned()))
}
