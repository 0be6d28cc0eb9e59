//! `aerostore providers`: what is kept on each provider of bytes, and which one may be removed.

use clap::Args;

use super::Context;
use crate::client::queue::Provider;
use crate::failure::Failure;
use crate::output::table;
use crate::units;

/// `providers` has no options of its own.
#[derive(Debug, Args)]
pub(crate) struct Providers {}

/// Runs `aerostore providers`.
pub(crate) async fn run(_providers: &Providers, context: &Context<'_>) -> Result<(), Failure> {
    let providers = context.client.providers().await?;
    if context.out.is_json() {
        return context.out.json(&providers);
    }
    context.out.line(&rows(&providers))?;
    let lost = providers.iter().filter(|it| !it.configured && it.blobs > 0);
    for provider in lost {
        context.out.note(&format!(
            "{} is not configured: what is kept there can't be read until it is again",
            provider.provider
        ));
    }
    Ok(())
}

fn rows(providers: &[Provider]) -> String {
    let titles = ["PROVIDER", "ROLE", "BLOBS", "SIZE", "PENDING DELETIONS"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(providers.iter().map(|it| {
        let role = if it.configured { it.role.as_deref().unwrap_or("-") } else { "not configured" };
        vec![
            it.provider.clone(),
            role.to_owned(),
            it.blobs.to_string(),
            units::size(it.bytes),
            it.pending_deletions.to_string(),
        ]
    }));
    table(&rows, &[2, 3, 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_a_table() {
        let provider = |provider: &str, configured, role: Option<&str>, blobs| Provider {
            provider: provider.to_owned(),
            configured,
            role: role.map(str::to_owned),
            blobs,
            bytes: 5,
            pending_deletions: 0,
        };
        let all = [provider("cloud", true, Some("active"), 12), provider("gone", false, None, 1)];
        assert_eq!(
            rows(&all),
            "PROVIDER  ROLE            BLOBS  SIZE  PENDING DELETIONS\n\
             cloud     active             12   5 B                  0\n\
             gone      not configured      1   5 B                  0"
        );
    }
}
