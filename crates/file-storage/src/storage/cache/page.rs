//! A page as it is given to all who ask for it.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::executor::Page;

/// A page, and what was made of it: most of what a list costs beyond the database is writing it down for a client.
#[derive(Debug, Default)]
pub struct SharedPage {
    page: Page,
    written: OnceLock<(&'static str, Bytes)>,
}

impl SharedPage {
    /// What is written for this page in a form, made once for the first form that is asked for. A form is all that decides about
    /// the text beside the page and its [`Listing`](crate::executor::Listing), and nothing of a request may be in it.
    ///
    /// # Errors
    /// That of `write`.
    pub fn written<E>(
        &self,
        form: &'static str,
        write: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        match self.written.get() {
            Some((known, text)) if *known == form => return Ok(text.clone()),
            _ => {}
        }
        let text = write()?;
        // Another form may have been first, or somebody else: then it is theirs that is kept.
        let _kept = self.written.set((form, text.clone()));
        Ok(text)
    }

    /// The page alone.
    pub fn into_page(self: Arc<Self>) -> Page {
        match Arc::try_unwrap(self) {
            Ok(shared) => shared.page,
            Err(shared) => shared.page.clone(),
        }
    }
}

impl From<Page> for SharedPage {
    fn from(page: Page) -> Self {
        Self { page, written: OnceLock::new() }
    }
}

impl Deref for SharedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_is_written_once_and_others_each_time() {
        let page = SharedPage::from(Page::default());
        let write = |text: &'static str| move || Ok::<_, ()>(Bytes::from_static(text.as_bytes()));
        assert_eq!(page.written("a", || Err(())), Err(()));
        assert_eq!(page.written("a", write("first")).unwrap(), "first");
        assert_eq!(page.written("b", write("second")).unwrap(), "second");
        assert_eq!(page.written("b", write("third")).unwrap(), "third");
        assert_eq!(page.written("a", || Err(())).unwrap(), "first");
    }
}
