//! What a rule ends: only what is still what it was judged as.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::executor::Ending;
use crate::executor::lifecycle::REASON;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::{Answer, Session, Step, alone};
use crate::permissions::{Access, Permission};

/// Says why rows go, for events.
const BECAUSE: &str = "SELECT set_config('aerostore.reason', $1, true)";

/// Objects that are still these versions, and stay so until the transaction ends.
const LOCK: &str = "SELECT path FROM {schema}.storage_objects WHERE bucket_id = $1 AND version = ANY ($2::uuid[]) \
     ORDER BY path FOR UPDATE";

/// Where only null versions are written, a delete marker takes the place of the one among the versions.
const LET_NULL_GO: &str = "SELECT {schema}.let_null_go($1, p) FROM unnest($2::text[]) p \
     WHERE {schema}.versioning($1) = 'suspended'";

const END_OBJECTS: &str = "DELETE FROM {schema}.storage_objects WHERE bucket_id = $1 AND version = ANY ($2::uuid[]) \
     RETURNING version";

const END_OLDER: &str = "DELETE FROM {schema}.storage_object_versions WHERE bucket_id = $1 \
     AND version = ANY ($2::uuid[]) RETURNING version";

const END_MARKERS: &str = "DELETE FROM {schema}.storage_object_versions o WHERE o.bucket_id = $1 \
     AND o.version = ANY ($2::uuid[]) AND o.is_delete_marker \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_objects c WHERE c.bucket_id = o.bucket_id AND c.path = o.path) \
     AND NOT EXISTS (SELECT 1 FROM {schema}.storage_object_versions v WHERE v.bucket_id = o.bucket_id \
        AND v.path = o.path AND v.sequence <> o.sequence) RETURNING o.version";

/// What somebody is at is passed over.
const END_UPLOADS: &str = "SELECT id, {inner}.discard_upload(id) FROM (SELECT id \
     FROM {schema}.multipart_uploads WHERE id = ANY ($1::uuid[]) AND NOT ended ORDER BY id FOR UPDATE SKIP LOCKED) doomed";

/// Ends versions; gives those that went.
pub(in crate::executor::postgres) async fn end_versions(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    versions: &[(Uuid, Ending)],
) -> Result<Vec<Uuid>, Fault> {
    let context = access.on_rows(Permission::Maintain, None)?;
    let of = |wanted: Ending| -> Vec<Uuid> {
        versions.iter().filter(|(_, ending)| *ending == wanted).map(|(version, _)| *version).collect()
    };
    let (objects, older, markers) = (of(Ending::Object), of(Ending::Version), of(Ending::Marker));
    let (keeper, caller, name) = (Caller::keeper(), Caller::of(context), bucket.as_str());
    let mut session = Session::start(pool, "end_versions").await?;
    let found = session.run(&[Step::As(&keeper), Step::Run(LOCK, &[&name as _, &objects as _])]).await?;
    let rows = found.first().map_or(&[][..], |answer| &answer.rows);
    let paths: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let steps = [
        Step::As(&caller),
        Step::Run(LET_NULL_GO, &[&name as _, &paths as _]),
        Step::As(&keeper),
        Step::Run(BECAUSE, &[&REASON]),
        Step::Run(END_OBJECTS, &[&name as _, &objects as _]),
        Step::Run(END_OLDER, &[&name as _, &older as _]),
        Step::Run(END_MARKERS, &[&name as _, &markers as _]),
        Step::Commit,
    ];
    let answers = session.run(&steps).await?;
    answers.iter().skip(2).flat_map(|Answer { rows, .. }| rows).map(version).collect()
}

fn version(row: &Row) -> Result<Uuid, Fault> {
    Ok(row.try_get(0)?)
}

/// Gives up those of these uploads that are unfinished; gives them.
pub(in crate::executor::postgres) async fn end_uploads(
    pool: &Arc<Pool>,
    access: &Access,
    uploads: &[Uuid],
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = alone(pool, "end_uploads", &Caller::keeper(), END_UPLOADS, &[&uploads]).await?;
    gone.rows.iter().map(version).collect()
}
