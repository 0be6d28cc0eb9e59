//! The lock of readers that is held while nobody writes: it hides nothing, and is in nobody's way for long.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::executor::sqlite::anchor::Anchor;
use crate::executor::sqlite::checkpoint::checkpoint;
use crate::executor::sqlite::{SqliteOptions, connection};

#[test]
fn it_is_held_for_readers_and_keeps_checkpoints_out_only_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(dir.path().join("test.db"));
    let writer = connection::migrator(&options.path, options.page_size).unwrap();
    let write =
        || writer.execute_batch("CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)").unwrap();
    let unmoved = || checkpoint(&writer, "PASSIVE").unwrap().unmoved();
    let (sender, told) = sync_channel(1);
    let waker = Arc::new(sender);
    let anchor = Anchor::open(&options, Arc::downgrade(&waker)).unwrap();
    write();
    assert_eq!(unmoved(), 0);

    anchor.take().unwrap();
    assert!(!anchor.is_pending(), "nobody reads");
    anchor.want();
    assert!(told.try_recv().is_ok());
    anchor.want();
    assert!(told.try_recv().is_err(), "told again");

    anchor.take().unwrap();
    assert!(anchor.is_pending());
    anchor.want();
    assert!(told.try_recv().is_err(), "told while it is held");
    write();
    assert_ne!(unmoved(), 0, "it was not held");
    let reader = connection::reader(&options).unwrap();
    let rows: u32 = reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2, "a read does not see the newest commit");
    anchor.release().unwrap();
    assert_eq!(unmoved(), 0, "it was not released");

    anchor.close();
    anchor.take().unwrap();
    write();
    assert_eq!(unmoved(), 0, "it was taken when it was closed");
}
