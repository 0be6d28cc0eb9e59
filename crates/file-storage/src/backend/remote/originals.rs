//! What lies in a store beside our blobs: listed below the provider's prefix, read, copied into a blob by the store itself, removed.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use futures_util::{StreamExt, stream};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::write::MAX_COPY;
use super::{Inner, RemoteBackend, fault, read, write};
use crate::backend::originals::{
    Adopter, CHANGED, Found, Held, Original, OriginalName, OriginalPage, Originals, unusable,
};
use crate::backend::{BackendError, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::{BlobKey, Sha256};

/// An object of a store, and how it was when it was looked at.
pub(in crate::backend) struct OpenedObject {
    inner: Arc<Inner>,
    path: Path,
    stamp: Stamp,
}

/// What tells whether an object is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    size: u64,
    tag: Option<String>,
    modified: crate::Timestamp,
}

impl Stamp {
    fn of(found: &ObjectMeta) -> Self {
        Self { size: found.size, tag: found.e_tag.clone(), modified: found.last_modified }
    }
}

impl OpenedObject {
    /// Fails where it is not as it was.
    async fn check(&self) -> Result<(), StorageError> {
        let asked = self.inner.attempts.run("adopt", || async {
            self.inner.client.head(&self.path).await.map_err(fault::during("adopt"))
        });
        match asked.await {
            Ok(found) if Stamp::of(&found) == self.stamp => Ok(()),
            Ok(_) | Err(BackendError::NotFound) => Err(unusable(CHANGED)),
            Err(error) => Err(error.into_storage_error(&self.inner.options.provider)),
        }
    }

    /// All of its bytes, and at their end whether it is another one by now.
    pub(in crate::backend) fn body(self: Arc<Self>) -> ByteStream {
        let opened = async move {
            let body =
                read::read_at(&self.inner, self.path.clone(), None, Some(self.inner.attempts.clone())).await;
            match body {
                Ok(body) => body
                    .chain(stream::once(async move { self.check().await.map(|()| bytes::Bytes::new()) }))
                    .boxed(),
                Err(BackendError::NotFound) => stream::iter([Err(unusable(CHANGED))]).boxed(),
                Err(error) => {
                    stream::iter([Err(error.into_storage_error(&self.inner.options.provider))]).boxed()
                }
            }
        };
        stream::once(opened).flatten().boxed()
    }

    pub(in crate::backend) async fn remove(&self) -> Result<(), StorageError> {
        self.check().await?;
        let deleted = self.inner.attempts.run("adopt", || async {
            self.inner.client.delete(&self.path).await.map_err(fault::during("adopt"))
        });
        match deleted.await {
            Ok(()) | Err(BackendError::NotFound) => Ok(()),
            Err(BackendError::Refused { source, .. }) => {
                tracing::warn!(error = %source, "an original was adopted and can't be removed");
                Err(unusable("it was adopted, and the server may not remove it"))
            }
            Err(error) => Err(error.into_storage_error(&self.inner.options.provider)),
        }
    }
}

/// Below a path in a store.
struct Below {
    inner: Arc<Inner>,
    /// The provider's prefix and the path within it; `None` for all of the store.
    path: Option<Path>,
}

impl Below {
    /// The name of an object, below the path.
    fn name<'a>(&self, found: &'a ObjectMeta) -> Option<&'a str> {
        let name = found.location.as_ref();
        match &self.path {
            None => Some(name),
            Some(path) => name.strip_prefix(path.as_ref())?.strip_prefix('/'),
        }
    }

    async fn read_page(&self, after: Option<Path>, limit: usize) -> Result<OriginalPage, BackendError> {
        let mut names = match &after {
            None => self.inner.client.list(self.path.as_ref()),
            Some(after) => self.inner.client.list_with_offset(self.path.as_ref(), after),
        };
        let mut page = OriginalPage::default();
        while page.found.len() < limit {
            let Some(found) = names.next().await else {
                page.is_last = true;
                break;
            };
            let found = found.map_err(fault::during("list"))?;
            // A blob, of this server or of another one that keeps them elsewhere in the same store, is never an original.
            if let Some(name) = self.name(&found).filter(|_| !is_blob(found.location.as_ref())) {
                page.found.push(Found { name: OriginalName::new(name), unusable: None });
            }
        }
        Ok(page)
    }

    fn place(&self, name: &OriginalName) -> Option<Path> {
        let name = name.as_text()?;
        match &self.path {
            None => Path::parse(name).ok(),
            Some(path) => Path::parse(format!("{path}/{name}")).ok(),
        }
    }
}

/// Whether the end of a name has the form of a blob's.
fn is_blob(name: &str) -> bool {
    let cut = name.rmatch_indices('/').nth(2).map_or(0, |(at, _)| at + 1);
    name.get(cut..).is_some_and(|end| BlobKey::from_stored(end).is_some())
}

#[async_trait]
impl Originals for Below {
    async fn page(&self, after: Option<&OriginalName>, limit: usize) -> Result<OriginalPage, StorageError> {
        let after = after.and_then(|name| self.place(name));
        let page = self.inner.attempts.run("list", || self.read_page(after.clone(), limit)).await;
        page.map_err(|error| error.into_storage_error(&self.inner.options.provider))
    }

    async fn open(&self, name: &OriginalName) -> Result<Option<Original>, StorageError> {
        let Some(path) = self.place(name) else { return Ok(None) };
        let asked = self.inner.attempts.run("adopt", || async {
            let options = GetOptions { head: true, ..GetOptions::default() };
            self.inner.client.get_opts(&path, options).await.map_err(fault::during("adopt"))
        });
        let found = match asked.await {
            Ok(found) => found,
            Err(BackendError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into_storage_error(&self.inner.options.provider)),
        };
        let content_type = found.attributes.get(&Attribute::ContentType).map(|it| it.as_ref().to_owned());
        let stamp = Stamp::of(&found.meta);
        Ok(Some(Original {
            size: stamp.size,
            modified: stamp.modified,
            content_type,
            held: Held::Object(Arc::new(OpenedObject { inner: self.inner.clone(), path, stamp })),
        }))
    }
}

#[async_trait]
impl Adopter for RemoteBackend {
    fn originals(&self, path: &str) -> Option<Arc<dyn Originals>> {
        let whole = [self.inner.options.prefix.as_str(), path];
        let parts = whole.iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty());
        let whole = parts.collect::<Vec<_>>().join("/");
        let path = match whole.as_str() {
            "" => None,
            // What can't be a name there has nothing below it.
            whole => Some(Path::parse(whole).ok()?),
        };
        Some(Arc::new(Below { inner: self.inner.clone(), path }))
    }

    /// The store copies it, where it lies in the same one; what is then read and hashed is the copy, which nobody else writes to.
    async fn take(
        &self,
        key: &BlobKey,
        original: &Original,
        _moves: bool,
    ) -> Result<Option<BlobWritten>, BackendError> {
        let Held::Object(object) = &original.held else { return Ok(None) };
        if !Arc::ptr_eq(&object.inner, &self.inner) || object.stamp.size > MAX_COPY {
            return Ok(None);
        }
        write::copy_within(&self.inner, &object.path, key, object.stamp.size).await?;
        if let Err(changed) = object.check().await {
            self.settle(key, false).await;
            return Err(BackendError::Body(Box::new(changed)));
        }
        let mut body = read::read(&self.inner, key, None, Some(self.inner.attempts.about(key))).await?;
        let (mut size, mut hash) = (0_u64, digest::Context::new(&digest::SHA256));
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| BackendError::Body(Box::new(error)))?;
            size = size.saturating_add(chunk.len() as u64);
            hash.update(&chunk);
        }
        Ok(Some(BlobWritten { size, sha256: Sha256::from_digest(&hash.finish()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::is_blob;

    #[test]
    fn blobs_are_told_by_the_end_of_their_names() {
        let blob = "0198c1d2-0000-7000-8000-000000000001/0a/0198c1d2-0000-7000-8000-00000000000a";
        for (name, is) in [
            (blob.to_owned(), true),
            (format!("any/where/{blob}"), true),
            (format!("{blob}/x"), false),
            ("0a/0198c1d2-0000-7000-8000-00000000000a".to_owned(), false),
            ("a/b/c".to_owned(), false),
            ("c".to_owned(), false),
        ] {
            assert_eq!(is_blob(&name), is, "{name}");
        }
    }
}
