//! Questions of many, asked together: one statement for all who wait, and the next one for those who come meanwhile. Each is told
//! what the database said after he asked.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::errors::StorageError;
use crate::executor::postgres::errors::{Fault, unavailable};
use crate::executor::postgres::pool::Pool;

/// Most questions that are asked at a time.
const AT_ONCE: usize = 256;

/// What one statement answers for many.
pub(super) trait Question: Clone + Eq + Hash + Send + Sync + 'static {
    /// What is told.
    type Answer: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// The answers to all of these, which differ, by their numbers in the slice, counted from 1.
    fn ask(
        pool: &Arc<Pool>,
        all: &[Self],
    ) -> impl Future<Output = Result<HashMap<i64, Self::Answer>, Fault>> + Send;
}

/// Who waits to be told.
#[derive(Debug)]
pub(super) struct Together<Q: Question>(Mutex<Waiting<Q>>);

#[derive(Debug)]
struct Waiting<Q: Question> {
    asked: Vec<Asked<Q>>,
    /// Somebody asks the database.
    is_asked: bool,
}

#[derive(Debug)]
struct Asked<Q: Question> {
    question: Q,
    answer: oneshot::Sender<Result<Q::Answer, StorageError>>,
}

impl<Q: Question> Default for Together<Q> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { asked: Vec::new(), is_asked: false }))
    }
}

impl<Q: Question> Together<Q> {
    /// The answer to a question.
    pub(super) async fn tell(all: &Arc<Self>, pool: &Arc<Pool>, question: Q) -> Result<Q::Answer, Fault> {
        let (answer, told) = oneshot::channel();
        if all.wait(Asked { question, answer }) {
            let (all, asker) = (all.clone(), pool.clone());
            pool.tasks().spawn(async move { all.ask(&asker).await });
        }
        Ok(told.await.map_err(|_gone| unavailable("mark"))??)
    }

    /// Takes one in; whether nobody asks the database yet.
    fn wait(&self, asked: Asked<Q>) -> bool {
        let mut waiting = self.waiting();
        waiting.asked.push(asked);
        !std::mem::replace(&mut waiting.is_asked, true)
    }

    /// Asks for those who wait, until nobody does.
    async fn ask(&self, pool: &Arc<Pool>) {
        while let Some(asked) = self.next() {
            let mut numbers = HashMap::with_capacity(asked.len());
            let mut questions = Vec::with_capacity(asked.len());
            for Asked { question, .. } in &asked {
                numbers.entry(question.clone()).or_insert_with(|| {
                    questions.push(question.clone());
                    i64::try_from(questions.len()).unwrap_or(i64::MAX)
                });
            }
            let found = in_time(pool, &questions).await.map_err(|fault| fault.into_storage("mark"));
            for Asked { question, answer } in asked {
                let told = found.as_ref().map_err(Clone::clone).and_then(|all| {
                    let told = numbers.get(&question).and_then(|number| all.get(number));
                    told.cloned().ok_or_else(|| unavailable("mark"))
                });
                // Who has gone needs no answer.
                let _gone = answer.send(told);
            }
        }
    }

    /// The next ones; after the last, nobody asks any more.
    fn next(&self) -> Option<Vec<Asked<Q>>> {
        let mut waiting = self.waiting();
        waiting.asked.retain(|asked| !asked.answer.is_closed());
        let count = waiting.asked.len().min(AT_ONCE);
        waiting.is_asked = count > 0;
        (count > 0).then(|| waiting.asked.drain(..count).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<Q>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the database says. No longer than an operation: others wait behind it.
async fn in_time<Q: Question>(pool: &Arc<Pool>, all: &[Q]) -> Result<HashMap<i64, Q::Answer>, Fault> {
    match tokio::time::timeout(pool.operation_timeout(), Q::ask(pool, all)).await {
        Ok(told) => told,
        Err(_) => Err(StorageError::OperationTimeout { operation: "mark" }.into()),
    }
}
