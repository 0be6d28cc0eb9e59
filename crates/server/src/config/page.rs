//! `docs/configuration.md`, generated.

use std::fmt::Write as _;

use super::keys::SECTIONS;
use super::{KEYS, Key, provider_keys, rule_keys};

const HEAD: &str = "\
# Configuration

<!-- Generated from crates/server/src/config/keys.rs. Rewrite: UPDATE_DOCS=1 cargo test -p aerostore-server -->

Aerostore needs no configuration. What it has can be changed in three places, the later ones winning over the earlier:

1. **`storage.yml`**: the file that `--config FILE` or `AEROSTORE_CONFIG` names, else `storage.yml` in the data
   directory, where there is one.
2. **Environment variables**: a key's name in capitals, dots as underscores, with `AEROSTORE_` before it.
   An empty variable counts as not set. Lists are written with commas.
3. **Flags** of `aerostore serve`: `--listen`, `--data-dir`, `--database`.

An unknown key, an unknown `AEROSTORE_…` variable or a bad value stops the start, with file and line and what was
probably meant. `aerostore serve --check` checks without starting and shows what is in force and where it comes from.

Keys marked ↻ also change **without a restart**: on `SIGHUP` (`systemctl reload aerostore`) a server reads its configuration
again. A mistake anywhere, or a file that was read before and is gone, leaves everything as it was, and the log says what is wrong; keys without the mark that differ are
named there, and wait for a restart. Variables and flags are those that the server was started with, and still win: what shall
change belongs into the file.

Sizes: `100MB` and `1.5GB` are powers of 1000, `16KiB` and `2GiB` powers of 1024; a bare number counts bytes.
Durations: `500ms`, `30s`, `5m`, `1h30m`, `7d`. Relative paths start where the server was started.

```yaml
# storage.yml
listen: 0.0.0.0:8000
server:
  public_url: https://files.example.org
  trusted_proxies: [10.0.0.0/8]
storage:
  max_file_size: 5GB
cleanup:
  interval: 30m
```

Secrets (`auth.jwt_secret`, `signing.secret`) are generated on the first start and kept in `secrets.json` in the data
directory, readable by its owner alone; `aerostore keys` shows them. A secret that is configured wins over the generated
one. To **rotate** one, move it to the list of previous ones and set a new one: old tokens and URLs stay valid until they
expire, new ones are signed with the new secret.
";

/// The reference page of all keys, in Markdown.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let sections = std::iter::once(("", " Where the server is and what it keeps where."))
        .chain(SECTIONS.iter().copied());
    for (section, text) in sections {
        let title = if section.is_empty() { "Top level".to_owned() } else { format!("`{section}`") };
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {title}\n\n{}\n\n", text.trim());
        page.push_str("| key | default | value | what it is for |\n| --- | --- | --- | --- |\n");
        for key in KEYS.iter().filter(|key| key.section() == section) {
            row(&mut page, key, key.name, &key.variable());
        }
    }
    page.push_str(PROVIDERS);
    page.push_str("| key | default | value | what it is for |\n| --- | --- | --- | --- |\n");
    for key in provider_keys::KEYS {
        let variable = format!("AEROSTORE_PROVIDERS_NAME_{}", key.name.to_uppercase());
        row(&mut page, key, key.name, &variable);
    }
    page.push_str(RULES);
    page.push_str("| key | default | value | what it is for |\n| --- | --- | --- | --- |\n");
    for key in rule_keys::KEYS {
        row(&mut page, key, key.name, "");
    }
    page
}

/// One key; without a variable, it stands in the file alone.
fn row(page: &mut String, key: &Key, name: &str, variable: &str) {
    let default = match (key.default, key.secret) {
        ("", true) if key.name.ends_with("secret") => "generated".to_owned(),
        ("", _) => "none".to_owned(),
        (default, _) => format!("`{default}`"),
    };
    let live = if key.live { " ↻" } else { "" };
    let variable = if variable.is_empty() { String::new() } else { format!("<br>`{variable}`") };
    // Writing to a string does not fail.
    let _ = writeln!(page, "| `{name}`{live}{variable} | {default} | {} | {} |", key.form, key.text.trim());
}

const PROVIDERS: &str = "
## `providers.NAME`

Providers of bytes beside the data directory, which is the provider `local`. Each has a name of your choice, which
segments record: it must stay as long as bytes are there. [providers.md](providers.md) has examples. In variables, a dash
of a name is an underscore.

";

const RULES: &str = "
## `lifecycle.rules.NAME`

Rules that let old files go, each with a name of your choice; [lifecycle.md](lifecycle.md) says what they do. They stand in the file
alone, and change (↻) with it: a run that has begun goes by its new rules from its next step on. Servers that share a database should have the same. Rules that are made by the API or by S3 are
kept in the database, beside these.

";
