//! Whether S3 at a URL takes signed requests; and where it does not, what was changed on the way, and what to do about it.
//!
//! Requests are signed here, sent to the URL that clients are given, and compared, line by line, with what the server says
//! that it verified. Nothing is left behind: without a bucket to write to, all requests are reads.

mod answer;
mod difference;
mod endpoint;
mod finding;
mod judge;
mod prober;
mod reads;
mod report;
mod request;
mod signer;
mod writes;

use std::net::IpAddr;

pub(crate) use endpoint::Endpoint;
use prober::Prober;
pub(crate) use report::Report;
pub(crate) use signer::Signer;

use crate::failure::Failure;

/// What is looked at, and as whom.
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    pub(crate) signer: Signer,
    /// Where an object may be written, and deleted again.
    pub(crate) bucket: Option<String>,
    /// Where all names lead, whatever is known of them elsewhere.
    pub(crate) resolved: Option<IpAddr>,
}

/// Looks at everything, in an order in which what comes first explains what comes after.
///
/// # Errors
/// Only what is wrong on this side: whatever the server does is part of the report.
pub(crate) async fn run(plan: Plan) -> Result<Report, Failure> {
    let Plan { endpoint, signer, bucket, resolved } = plan;
    let mut report = Report::new(&endpoint, &signer);
    let prober = Prober::new(endpoint, signer, resolved)?;
    let answer = match reads::reach(&prober).await {
        Ok(answer) => answer,
        Err(finding) => {
            report.add("reach", Err(finding));
            return Ok(report);
        }
    };
    report.add("reach", Ok("S3 answers there".to_owned()));
    report.add("clock", reads::clock(&answer));
    let signature = reads::signature(&prober).await;
    let is_hopeless = signature.as_ref().is_err_and(|finding| finding.is_about_the_key);
    report.add("signature", signature);
    if is_hopeless {
        return Ok(report);
    }
    report.add("presigned", reads::presigned(&prober).await);
    report.add("headers", reads::headers(&prober).await);
    report.add("query", reads::query(&prober).await);
    report.add("path", reads::path(&prober).await);
    report.add("head", reads::head(&prober).await);
    match bucket {
        Some(bucket) => writes::run(&prober, &bucket, &mut report).await?,
        None => {
            report.skip("writing", "--bucket BUCKET says where an object may be written and deleted again");
        }
    }
    Ok(report)
}
