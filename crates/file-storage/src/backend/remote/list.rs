//! All blobs, page by page. A list that breaks off goes on behind the last name that it gave.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::{Inner, Store, fault};
use crate::backend::{BackendError, BlobInfo};
use crate::file::BlobKey;

/// See [`crate::backend::StorageBackend::list`].
pub(super) fn list(inner: Arc<Inner>) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
    let walk = Walk { inner, after: None, names: None, failed: 0 };
    stream::unfold(Some(walk), |walk| async move {
        let mut walk = walk?;
        match walk.next().await? {
            Ok(info) => Some((Ok(info), Some(walk))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Walk {
    inner: Arc<Inner>,
    /// The last name that came.
    after: Option<Path>,
    names: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
    /// Attempts that failed since then.
    failed: u32,
}

impl Walk {
    async fn next(&mut self) -> Option<Result<BlobInfo, BackendError>> {
        loop {
            let names = match &mut self.names {
                Some(names) => names,
                None => {
                    let names = self.names();
                    self.names.insert(names)
                }
            };
            match names.next().await? {
                Ok(found) => {
                    self.failed = 0;
                    let described = self.describe(&found);
                    self.after = Some(found.location);
                    if let Some(info) = described {
                        return Some(Ok(info));
                    }
                }
                Err(error) => {
                    let error = fault::during("list")(error);
                    self.names = None;
                    self.failed += 1;
                    match self.inner.attempts.next("list", self.failed, &error) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Some(Err(error)),
                    }
                }
            }
        }
    }

    fn names(&self) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let prefix = Some(Path::from(self.inner.options.prefix.as_str())).filter(|path| !path.is_root());
        match &self.after {
            None => self.inner.client.list(prefix.as_ref()),
            Some(after) => self.inner.client.list_with_offset(prefix.as_ref(), after),
        }
    }

    /// The blob that a name stands for; `None` where it is none of ours.
    fn describe(&self, found: &ObjectMeta) -> Option<BlobInfo> {
        let name = found.location.as_ref();
        let name = match self.inner.options.prefix.as_str() {
            "" => name,
            prefix => name.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let key = BlobKey::from_stored(name)?;
        // S3 dates what came in parts by when its writing began, and others that speak its protocol by when it ended; its entity tag
        // tells that it did.
        let came_in_parts = matches!(self.inner.options.store, Store::S3(_))
            && found.e_tag.as_ref().is_none_or(|tag| tag.contains('-'));
        let modified = (!came_in_parts).then_some(found.last_modified);
        Some(BlobInfo { key, size: found.size, modified, begun: Some(found.last_modified) })
    }
}
