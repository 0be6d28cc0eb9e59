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
        let what = match provider.blobs {
            0 => "files are read without the copies that are kept there",
            _ => "files that are kept there and have no copy elsewhere can't be read until it is again",
        };
        context.out.note(&format!("{} is not configured: {what}", provider.provider));
    }
    Ok(())
}

fn rows(providers: &[Provider]) -> String {
    let titles =
        ["PROVIDER", "ROLE", "BLOBS", "SIZE", "COPIES", "THEIR SIZE", "MISSING", "PENDING DELETIONS"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(providers.iter().map(|it| {
        vec![
            it.provider.clone(),
            roles(it),
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

/// All that a provider is for; a server of an earlier version names one role.
fn roles(provider: &Provider) -> String {
    match (provider.configured, provider.roles.as_slice(), &provider.role) {
        (false, _, _) => "not configured".to_owned(),
        (true, [], role) => role.clone().unwrap_or_else(|| "-".to_owned()),
        (true, roles, _) => roles.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_a_table() {
        let provider = |provider: &str, configured, roles: &[&str], blobs| Provider {
            provider: provider.to_owned(),
            configured,
            role: roles.first().map(|role| (*role).to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            blobs,
            bytes: 5,
            backup: roles.contains(&"backup"),
            copies: 3,
            copy_bytes: 15,
            missing_copies: 2,
            pending_deletions: 0,
        };
        let all = [
            provider("cloud", true, &["active", "backup"], 12),
            provider("gone", false, &[], 1),
            provider("tape", true, &["backup"], 0),
        ];
        assert_eq!(
            rows(&all),
            "PROVIDER  ROLE            BLOBS  SIZE  COPIES  THEIR SIZE  MISSING  PENDING DELETIONS\n\
             cloud     active, backup     12   5 B       3        15 B        2                  0\n\
             gone      not configured      1   5 B       3        15 B        -                  0\n\
             tape      backup              0   5 B       3        15 B        2                  0"
        );
    }
}
