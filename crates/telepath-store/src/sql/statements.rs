//! How many statements a piece of work sends to the database.

use std::cell::Cell;
use std::future::Future;

tokio::task_local! {
    static SENT: Cell<u32>;
}

/// Runs `work` and counts the statements that it sends on its own task. Transactions that change something run on the task of
/// the writer and are not counted.
pub async fn counting_statements<F: Future>(work: F) -> (F::Output, u32) {
    let counted = async move {
        let output = work.await;
        (output, SENT.with(Cell::get))
    };
    SENT.scope(Cell::new(0), counted).await
}

/// Counts one statement, if anyone asked.
pub(super) fn sent() {
    // Nobody asks outside of `counting_statements`.
    let _ = SENT.try_with(|sent| sent.set(sent.get().saturating_add(1)));
}
