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
    let lost = providers.iter().filter(|it| !it.configured && (it.blobs > 0 || it.copies > 0));
    for provider in lost {
        context.out.note(&format!(
            "{} is not configured: what is kept there can't be read until it is again",
            provider.provider
        ));
    }
    Ok(())
}

fn rows(providers: &[Provider]) -> String {
    let titles =
        ["PROVIDER", "ROLE", "BLOBS", "SIZE", "COPIES", "THEIR SIZE", "MISSING", "PENDING DELETIONS"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(providers.iter().map(|it| {
        let role = if it.configured { it.role.as_deref().unwrap_or("-") } else { "not configured" };
        vec![
            it.provider.clone(),
            role.to_owned(),
            it.blobs.to_string(),
            units::size(it.bytes),
            it.copies.to_string(),
            units::size(it.copy_bytes),
            if it.backup { it.missing_copies.to_string() } else { "-".to_owned() },
            it.pending_deletions.to_string(),
        ]
    }));
    table(&rows, &[2, 3, 4, 5, 6, 7])
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
            backup: role == Some("backup"),
            copies: 3,
            copy_bytes: 15,
            missing_copies: 2,
            pending_deletions: 0,
        };
        let all = [
            provider("cloud", true, Some("active"), 12),
            provider("gone", false, None, 1),
            provider("tape", true, Some("backup"), 0),
        ];
        assert_eq!(
            rows(&all),
            "PROVIDER  ROLE            BLOBS  SIZE  COPIES  THEIR SIZE  MISSING  PENDING DELETIONS\n\
             cloud     active             12   5 B       3        15 B        -                  0\n\
             gone      not configured      1   5 B       3        15 B        -                  0\n\
             tape      backup              0   5 B       3        15 B        2                  0"
        );
    }
}
