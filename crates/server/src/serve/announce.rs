//! What a server says on standard output: that it is ready and where, and once, on its first start, its keys.

use std::io::{self, Write};

use super::Server;

/// Says that the server is ready, on one line that scripts wait for. The keys of a first start stand above it.
pub(super) fn ready(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let url = format!("http://{}", server.address());
    if let Some(keys) = server.new_keys() {
        writeln!(
            out,
            "This is the first start. These keys were made for you, and are shown this once:\n\
             \n  anon key       {}\n  service key    {}\n  S3 access key  {}\n  S3 secret key  {}\n\
             \nThe service key may do everything: keep it on your own machines. `aerostore keys` shows them again.\n\
             To begin, in another terminal:\n\
             \n  export AEROSTORE_URL={url} AEROSTORE_TOKEN=<the service key>\n  aerostore bucket create avatars\n  \
             aerostore cp picture.png aero://avatars/\n",
            *keys.anon_key, *keys.service_key, keys.s3_access_key_id, *keys.s3_secret_access_key,
        )?;
    }
    if let Some(address) = server.s3_address() {
        writeln!(out, "S3 is served on http://{address}")?;
    }
    writeln!(out, "aerostore is ready on {url}")?;
    out.flush()
}
