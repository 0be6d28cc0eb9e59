//! Moves and copies of whole folders under quotas: a dry run tells what a run then refuses, on either engine of the metadata.

use std::time::Duration;

use crate::support::{Fixture, bucket, path, service, user};
use file_storage::executor::{Job, JobFailure};
use file_storage::file::PutMode;
use file_storage::quota::{QuotaEnforcement, QuotaSettings};
use file_storage::storage::{Folder, FolderWay};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{
    BucketConfig, BucketName, BucketPolicy, BucketUpdate, QuotaScope, RlsContext, Versioning,
};
use futures_util::{StreamExt, stream};

struct Scene {
    fixture: Fixture,
    upkeep: Upkeep,
}

/// Whether objects stay where they are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Move,
    Copy,
}

impl Scene {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let upkeep =
            Upkeep::start(&fixture.storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
        Self { fixture, upkeep }
    }

    async fn bucket(&self, name: &str, versioning: Versioning) -> BucketName {
        let config =
            BucketConfig { policy: BucketPolicy::Authenticated, versioning, ..BucketConfig::default() };
        self.fixture.storage.create_bucket(&service(), &bucket(name), &config).await.unwrap();
        bucket(name)
    }

    async fn turn(&self, at: &BucketName, versioning: Versioning) {
        let update = BucketUpdate { versioning: Some(versioning), ..BucketUpdate::default() };
        self.fixture.storage.update_bucket(&service(), at, &update).await.unwrap();
    }

    async fn put(&self, caller: &RlsContext, at: (&BucketName, &str), size: usize) {
        let bytes = vec![7; size];
        self.fixture.put(caller, (at.0, &path(at.1)), PutMode::Upsert, &bytes).await.unwrap();
    }

    async fn set(&self, scope: &QuotaScope, limit: Option<u64>) {
        self.fixture.storage.set_quota(&service(), scope, limit).await.unwrap();
    }

    /// Bytes in use of a quota.
    async fn used(&self, scope: &QuotaScope) -> u64 {
        self.fixture.storage.quota(&service(), scope).await.unwrap().used
    }

    async fn run(&self, caller: &RlsContext, way: &FolderWay, how: How, dry_run: bool) -> Job {
        let storage = &self.fixture.storage;
        let job = match how {
            How::Move => storage.move_folder(caller, way, dry_run).await.unwrap(),
            How::Copy => storage.copy_folder(caller, way, dry_run).await.unwrap(),
        };
        for _ in 0..3000 {
            let job = storage.job(&service(), job.id).await.unwrap();
            if job.status.is_ended() {
                assert_eq!(job.error, None);
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the job never ends");
    }

    /// Looks, and then does it: what was refused by either, by path and code.
    async fn both(&self, caller: &RlsContext, way: &FolderWay, how: How) -> [Vec<(String, String)>; 2] {
        let dry = self.run(caller, way, how, true).await;
        let done = self.run(caller, way, how, false).await;
        assert_eq!((dry.done, dry.bytes, dry.failures), (done.done, done.bytes, done.failures), "{how:?}");
        [dry, done].map(|job| refused(&job.report.failures))
    }

    /// The same where both must refuse just these for a quota.
    #[track_caller]
    fn refuses<'a>(
        &'a self,
        caller: &'a RlsContext,
        (way, how): (&'a FolderWay, How),
        expected: &'a [&str],
    ) -> impl Future<Output = ()> + 'a {
        let here = std::panic::Location::caller();
        async move {
            let [dry, done] = self.both(caller, way, how).await;
            let over: Vec<_> =
                expected.iter().map(|path| (format!("in/{path}"), "QUOTA_EXCEEDED".to_owned())).collect();
            assert_eq!(dry, over, "a dry run at {here}");
            assert_eq!(done, over, "a run at {here}");
        }
    }

    async fn end(self) {
        self.upkeep.stop().await;
        self.fixture.audit().await;
    }
}

fn refused(failures: &[JobFailure]) -> Vec<(String, String)> {
    failures.iter().map(|failure| (failure.path.clone(), failure.code.clone())).collect()
}

fn way(from: (&BucketName, &str), to: (&BucketName, &str), overwrite: bool) -> FolderWay {
    let folder = |(bucket, path): (&BucketName, &str)| Folder::new(bucket.clone(), path).unwrap();
    FolderWay { from: folder(from), to: folder(to), overwrite }
}

fn folder(text: &str) -> QuotaScope {
    QuotaScope::folder(text).unwrap()
}

fn of(caller: &RlsContext) -> QuotaScope {
    QuotaScope::User(caller.user_id().unwrap())
}

#[tokio::test]
async fn a_dry_run_of_a_copy_tells_what_does_not_fit_beside_those_before() {
    let scene = Scene::new().await;
    let owner = user(1);
    let from = scene.bucket("from", Versioning::Off).await;
    for (name, size) in [("a", 6), ("b", 10), ("c", 3), ("d/x", 7), ("d/y", 1), ("e", 2)] {
        scene.put(&owner, (&from, &format!("in/{name}")), size).await;
    }
    let cases: &[(&str, QuotaScope, u64, &[&str])] = &[
        // Above what there is: 29 bytes of the source.
        ("of-bucket", folder("of-bucket"), 12, &["b", "d/x"]),
        ("of-user", of(&owner), 29 + 9, &["b", "d/x", "d/y", "e"]),
        ("of-all", QuotaScope::Global, 29 + 10, &["b", "d/x", "e"]),
        ("of-folder", folder("of-folder/to/d"), 7, &["d/y"]),
    ];
    for (name, scope, limit, expected) in cases {
        let to = scene.bucket(name, Versioning::Off).await;
        scene.set(scope, Some(*limit)).await;
        let way = way((&from, "in"), (&to, "to"), false);
        scene.refuses(&owner, (&way, How::Copy), expected).await;
        scene.set(scope, None).await;
        let emptied = scene.fixture.storage.delete_folder(&service(), &way.to, false).await.unwrap();
        while !scene.fixture.storage.job(&service(), emptied.id).await.unwrap().status.is_ended() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // What one quota lets in, another one may refuse; and what that refused takes nothing of the first.
    let to = scene.bucket("both", Versioning::Off).await;
    scene.set(&folder("both"), Some(26)).await;
    scene.set(&folder("both/to/d"), Some(6)).await;
    let way = way((&from, "in"), (&to, "to"), false);
    scene.refuses(&owner, (&way, How::Copy), &["d/x"]).await;
    assert_eq!(scene.used(&folder("both")).await, 22);
    scene.end().await;
}

#[tokio::test]
async fn a_dry_run_of_a_move_counts_what_a_move_takes() {
    let scene = Scene::new().await;
    let owner = user(1);
    let from = scene.bucket("from", Versioning::Off).await;
    let to = scene.bucket("to", Versioning::Off).await;
    for (name, size) in [("a", 6), ("b", 10), ("c", 3)] {
        scene.put(&owner, (&from, &format!("in/{name}")), size).await;
    }
    // Full already, of what a move within a bucket does not change.
    for scope in [folder("from"), of(&owner), QuotaScope::Global] {
        scene.set(&scope, Some(19)).await;
    }
    scene.set(&folder("from/out"), Some(9)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&from, "out"), false), How::Move), &["b"]).await;
    // Back again, into a folder over both of which nothing is taken.
    scene.put(&owner, (&from, "in/b"), 10).await;
    let back = way((&from, "out"), (&from, "in"), false);
    let [dry, done] = scene.both(&owner, &back, How::Move).await;
    assert_eq!((dry, done), (Vec::new(), Vec::new()));
    // Into another bucket, of which the quota and those of its folders count, and neither the user's nor that of everything.
    scene.set(&folder("to"), Some(15)).await;
    scene.set(&folder("to/x/out"), Some(1)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "x"), false), How::Move), &["b"]).await;
    // Where versions are kept, a move is a copy: the bytes stay, too.
    scene.turn(&from, Versioning::Enabled).await;
    scene.set(&folder("to"), None).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "y"), false), How::Move), &["b"]).await;
    scene.set(&of(&owner), Some(29)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "y"), false), How::Move), &["b"]).await;
    scene.set(&QuotaScope::Global, Some(29)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "y"), false), How::Move), &[]).await;
    scene.end().await;
}

#[tokio::test]
async fn what_goes_where_versions_are_no_longer_kept_makes_room_for_those_behind_it() {
    let scene = Scene::new().await;
    let owner = user(1);
    let made = scene.bucket("docs", Versioning::Off).await;
    for (name, size) in [("a", 6), ("b", 6), ("c", 11)] {
        scene.put(&owner, (&made, &format!("in/{name}")), size).await;
    }
    scene.turn(&made, Versioning::Enabled).await;
    scene.turn(&made, Versioning::Suspended).await;
    // Each is copied first, and only then gone: there is room for a or b twice, and not for c.
    for scope in [folder("docs"), of(&owner), QuotaScope::Global] {
        scene.set(&scope, Some(33)).await;
        let there = way((&made, "in"), (&made, "out"), false);
        scene.refuses(&owner, (&there, How::Move), &["c"]).await;
        scene.set(&scope, None).await;
        let back = scene.run(&owner, &way((&made, "out"), (&made, "in"), true), How::Move, false).await;
        assert_eq!((back.done, back.failures), (2, 0));
    }
    scene.end().await;
}

#[tokio::test]
async fn what_is_replaced_makes_room_for_those_behind_it() {
    let scene = Scene::new().await;
    let owner = user(1);
    let from = scene.bucket("from", Versioning::Off).await;
    let to = scene.bucket("to", Versioning::Off).await;
    for (name, size) in [("a", 9), ("b", 2), ("c", 9), ("d", 1)] {
        scene.put(&owner, (&from, &format!("in/{name}")), size).await;
    }
    for (name, size) in [("a", 3), ("b", 8), ("d", 1)] {
        scene.put(&owner, (&to, &format!("in/{name}")), size).await;
    }
    // 12 of 15 bytes: a would add 6, b gives back 6, so that c fits.
    scene.set(&folder("to"), Some(15)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "in"), true), How::Copy), &["a"]).await;
    assert_eq!(scene.used(&folder("to")).await, 15);
    // Kept as versions, they give nothing back.
    scene.turn(&to, Versioning::Enabled).await;
    scene.set(&folder("to"), Some(15 + 12)).await;
    scene.refuses(&owner, (&way((&from, "in"), (&to, "in"), true), How::Copy), &["c"]).await;
    scene.end().await;
}

#[tokio::test]
async fn many_objects_are_refused_in_their_order() {
    let scene = Scene::new().await;
    let owner = user(1);
    let from = scene.bucket("from", Versioning::Off).await;
    let to = scene.bucket("to", Versioning::Off).await;
    // More than a page, so that the sums outlive a step.
    let sizes: Vec<(String, usize)> =
        (0..1100).map(|number: usize| (format!("in/{number:04}"), 1 + number * 7 % 23)).collect();
    stream::iter(&sizes)
        .for_each_concurrent(16, |(name, size)| scene.put(&owner, (&from, name), *size))
        .await;
    let total: usize = sizes.iter().map(|(_, size)| size).sum();
    let room = total - 300;
    scene.set(&folder("to"), Some(room as u64)).await;
    let (mut used, mut over) = (0, Vec::new());
    for (name, size) in &sizes {
        if used + size > room {
            over.push((name.clone(), "QUOTA_EXCEEDED".to_owned()));
        } else {
            used += size;
        }
    }
    let way = way((&from, "in"), (&to, ""), false);
    let [dry, done] = scene.both(&owner, &way, How::Copy).await;
    assert!(!over.is_empty() && over.len() <= 100, "{}", over.len());
    assert_eq!(dry, over);
    assert_eq!(done, over);
    scene.end().await;
}

#[tokio::test]
async fn a_quota_that_only_warns_refuses_nothing() {
    let scene = Scene::new().await;
    let owner = user(1);
    let from = scene.bucket("from", Versioning::Off).await;
    let to = scene.bucket("to", Versioning::Off).await;
    for name in ["in/a", "in/b"] {
        scene.put(&owner, (&from, name), 5).await;
    }
    scene.set(&folder("to"), Some(1)).await;
    let enforcement = QuotaEnforcement::Warn;
    let settings = QuotaSettings { enforcement, ..QuotaSettings::default() };
    scene.fixture.storage.configure_quotas(&settings).await.unwrap();
    scene.refuses(&owner, (&way((&from, "in"), (&to, "in"), false), How::Copy), &[]).await;
    assert_eq!(scene.used(&folder("to")).await, 10);
    scene.end().await;
}

/// Numbers that look like chance, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }
}

/// Whatever buckets keep, whoever owns what, and whichever quotas there are.
#[tokio::test]
async fn a_run_refuses_what_its_dry_run_said() {
    let scene = Scene::new().await;
    let mut over = 0;
    for number in 0..25 {
        over += any_scene(&scene, number).await;
    }
    assert!(over > 40, "{over}: these are about quotas that refuse");
    scene.end().await;
}

/// One of many scenes; how many objects were refused for a quota.
async fn any_scene(scene: &Scene, number: u64) -> usize {
    let dice = &mut Dice(number);
    let owners = [user(1), user(2)];
    let names = [format!("from-{number}"), format!("to-{number}")];
    let all = [Versioning::Off, Versioning::Enabled, Versioning::Suspended];
    let (is_within, how) = (dice.roll(3) == 0, dice.one(&[How::Move, How::Copy]));
    let from = scene.bucket(&names[0], Versioning::Off).await;
    let to = match is_within {
        true => from.clone(),
        false => scene.bucket(&names[1], Versioning::Off).await,
    };
    let caller = dice.one(&[0, 1]);
    // Each alone may bring only what is its own, and take its own place.
    let whose = |dice: &mut Dice| match caller {
        0 => owners[0].clone(),
        _ => dice.one(&[&owners[0], &owners[1]]).clone(),
    };
    let caller = if caller == 0 { owners[0].clone() } else { service() };
    let dirs = ["", "d/", "d/e/"];
    for object in 0..14 {
        let name = format!("{}{object:02}", dirs[object % 3]);
        let (size, there) = (dice.roll(30), dice.roll(30));
        let by = whose(dice);
        scene.put(&by, (&from, &format!("in/{name}")), usize::try_from(size).unwrap()).await;
        if dice.roll(3) == 0 {
            let by = whose(dice);
            scene.put(&by, (&to, &format!("out/{name}")), usize::try_from(there).unwrap()).await;
        }
    }
    let versioning = dice.one(&all);
    if versioning != Versioning::Off {
        scene.turn(&to, Versioning::Enabled).await;
        for object in [0, 4, 8] {
            let at = format!("out/{}{object:02}", dirs[object % 3]);
            let exists = scene.fixture.storage.info(&service(), &to, &path(&at)).await.is_ok();
            let size = usize::try_from(dice.roll(30)).unwrap();
            if exists {
                scene.put(&service(), (&to, &at), size).await;
            }
        }
        scene.turn(&to, versioning).await;
    }
    if !is_within && dice.roll(3) == 0 {
        scene.turn(&from, Versioning::Enabled).await;
        scene.turn(&from, dice.one(&all[1..])).await;
    }
    let places = [
        QuotaScope::Bucket(to.clone()),
        folder(&format!("{to}/out")),
        folder(&format!("{to}/out/d")),
        folder(&format!("{to}/out/d/e")),
        of(&owners[0]),
        of(&owners[1]),
        QuotaScope::Global,
    ];
    let mut set = Vec::new();
    for scope in places {
        if dice.roll(3) == 0 {
            let limit = scene.used(&scope).await + dice.roll(90);
            scene.set(&scope, Some(limit)).await;
            set.push(scope);
        }
    }
    let overwrite = dice.roll(2) == 0;
    let way = way((&from, "in"), (&to, "out"), overwrite);
    let [dry, done] = scene.both(&caller, &way, how).await;
    assert_eq!(dry, done, "{number}: {how:?} {way:?} {versioning:?} {set:?}");
    for scope in set {
        scene.set(&scope, None).await;
    }
    done.iter().filter(|(_, code)| code == "QUOTA_EXCEEDED").count()
}
