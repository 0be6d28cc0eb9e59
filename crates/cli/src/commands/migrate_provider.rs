//! `aerostore migrate-provider`: what one provider keeps goes to another, by the upload queue, while the server runs.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::Context;
use crate::client::Client;
use crate::client::queue::{Depths, Moving, Provider, Queued};
use crate::failure::Failure;
use crate::units;

/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// For how long a server may be away meanwhile, as while it is restarted.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `migrate-provider`.
#[derive(Debug, Args)]
pub(crate) struct MigrateProvider {
    /// The provider that has the bytes
    #[arg(long, value_name = "NAME")]
    from: String,
    /// The one that they are for
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Only those of this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Only queue them
    #[arg(long)]
    no_wait: bool,
    /// Pieces of files that the server looks at in one request
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

/// How much of a way is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Left {
    entries: u64,
    bytes: u64,
    failed: u64,
}

/// Runs `aerostore migrate-provider`. Entries that were given up are a failure: somebody must look.
pub(crate) async fn run(asked: &MigrateProvider, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let queued = tokio::select! {
        queued = queue(client, asked) => queued?,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            out.note("not all is queued; the same command goes on with it");
            return Err(Failure::Interrupted);
        }
    };
    let is_active = |it: &Provider| it.provider == asked.from && it.role.as_deref() == Some("active");
    if client.providers().await?.iter().any(is_active) {
        out.note(&format!(
            "warning: {} is still the active provider: new files go there. Set storage.active_provider first",
            asked.from
        ));
    }
    if asked.no_wait {
        return out.result(&queued, |queued| {
            format!("queued {} ({}): aerostore queue list", queued.queued, units::size(queued.bytes))
        });
    }
    let ended = tokio::select! {
        ended = watch(client, asked, out.shows_progress()) => ended?,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            out.note("the server goes on with it: aerostore queue list; the same command shows the progress again");
            return Err(Failure::Interrupted);
        }
    };
    tell(&queued, ended.failed, asked, context).await
}

/// Queues all there is, part by part. What fails for a moment is asked again: what is queued is not queued twice.
async fn queue(client: &Client, asked: &MigrateProvider) -> Result<Queued, Failure> {
    let (mut all, mut answered) = (Queued { queued: 0, bytes: 0, next: None }, Instant::now());
    loop {
        let part = Moving {
            from: &asked.from,
            to: &asked.to,
            bucket: asked.bucket.as_deref(),
            next: all.next.as_deref(),
            limit: asked.batch,
        };
        match client.migrate_provider(&part).await {
            Ok(part) => {
                answered = Instant::now();
                let (queued, bytes) = (all.queued + part.queued, all.bytes + part.bytes);
                all = Queued { queued, bytes, next: part.next };
                if all.next.is_none() {
                    return Ok(all);
                }
            }
            // The first of them tells what is wrong with the command.
            Err(failure) if all.next.is_some() && failure.is_transient() && answered.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Waits until nothing of the way waits any more: of its bucket, if it has one.
async fn watch(client: &Client, asked: &MigrateProvider, visible: bool) -> Result<Left, Failure> {
    let bar = bar(visible);
    let (mut most, mut answered) = (0, Instant::now());
    loop {
        match client.queue_depths(asked.bucket.as_deref()).await {
            Ok(depths) => {
                answered = Instant::now();
                let left = left(&depths, asked);
                most = most.max(left.bytes);
                bar.set_length(most);
                bar.set_position(most - left.bytes);
                bar.set_message(format!("{} left", left.entries));
                if left.entries == 0 {
                    bar.finish_and_clear();
                    return Ok(left);
                }
            }
            Err(failure) if failure.is_transient() && answered.elapsed() < PATIENCE => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn left(depths: &Depths, asked: &MigrateProvider) -> Left {
    let ours = depths.ways.iter();
    let ours = ours.filter(|way| way.source_provider == asked.from && way.target_provider == asked.to);
    ours.fold(Left::default(), |left, way| match way.status.as_str() {
        "failed" => Left { failed: left.failed + way.entries, ..left },
        _ => Left { entries: left.entries + way.entries, bytes: left.bytes + way.bytes, ..left },
    })
}

async fn tell(
    queued: &Queued,
    failed: u64,
    asked: &MigrateProvider,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let Context { client, out } = context;
    let providers = client.providers().await?;
    let stays = providers.iter().find(|it| it.provider == asked.from).map_or(0, |it| it.blobs);
    let report =
        json!({ "queued": queued.queued, "bytes": queued.bytes, "failed": failed, "left_at_source": stays });
    out.result(&report, |_| {
        format!("queued {} ({}), and nothing waits any more", queued.queued, units::size(queued.bytes))
    })?;
    if asked.bucket.is_none() && stays > failed {
        out.note(&format!("{} has {stays} blobs still, or again: run it once more", asked.from));
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Other(anyhow::anyhow!(
            "{failed} were given up and stay on {}: aerostore queue list --status failed, aerostore queue retry --all",
            asked.from
        ))),
    }
}

fn bar(visible: bool) -> ProgressBar {
    let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let template = "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} eta {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if visible {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_way_is_waited_for() {
        let way = |source: &str, target: &str, status: &str, entries: u64| {
            json!({
                "source_provider": source, "target_provider": target, "status": status, "reason": "migration",
                "entries": entries, "bytes": entries * 10, "oldest": "then",
            })
        };
        let depths = json!({ "ways": [
            way("a", "b", "pending", 3), way("a", "b", "in_progress", 1), way("a", "b", "failed", 2),
            way("b", "a", "pending", 7), way("a", "c", "failed", 9),
        ]});
        let depths: Depths = serde_json::from_value(depths).unwrap();
        let asked =
            MigrateProvider { from: "a".into(), to: "b".into(), bucket: None, no_wait: false, batch: 1 };
        assert_eq!(left(&depths, &asked), Left { entries: 4, bytes: 40, failed: 2 });
    }
}
