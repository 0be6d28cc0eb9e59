//! `aerostore take-over`: has a provider belong to the configured database, whichever it belonged to before. Talks to no server.

use clap::Args;
use serde_json::json;
use server::config::Flag;

use super::confirmed;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings;

/// Options of `take-over`.
#[derive(Debug, Args)]
pub(crate) struct TakeOver {
    /// The provider, by its name in the configuration (`local` is the data directory)
    provider: String,
    /// Where the metadata is, as for `serve` [env: AEROSTORE_DATABASE]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs `aerostore take-over`.
pub(crate) async fn run(asked: &TakeOver, global: &Global, out: &Output) -> Result<(), Failure> {
    let database = asked.database.clone();
    let flags = database.map(|value| Flag { flag: "--database", key: "database", value });
    let config = settings::load(global, flags.into_iter().collect())?.config;
    let provider = &asked.provider;
    confirmed(asked.yes, &format!("take '{provider}' over from whichever database it belongs to"))?;
    let taken = server::take_over(&config, provider).await.map_err(|error| Failure::Other(error.into()))?;
    let shown = json!({
        "provider": provider, "place": taken.place, "identity": taken.identity, "before": taken.before,
    });
    out.result(&shown, |_| match taken.before {
        Some(before) if before == taken.identity => {
            format!("the provider '{provider}' {} belongs to this database already", taken.place)
        }
        Some(before) => format!(
            "the provider '{provider}' {} belongs to this database now. It was {before}, and is {}: servers of another database \
             do not start with it any more",
            taken.place, taken.identity
        ),
        None => format!("the provider '{provider}' {} belongs to this database now", taken.place),
    })
}
