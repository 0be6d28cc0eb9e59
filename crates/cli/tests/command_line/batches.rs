//! Trees of small files go up many in a request, and each file is told of as if it had gone alone.

use std::path::PathBuf;

use crate::server::Server;
use crate::{json, text};

/// More than are sent at once: most of them wait for others, and go with them.
const FILES: usize = 300;

/// A tree of small files in folders, which say who they are.
fn tree(server: &Server) -> PathBuf {
    let tree = server.folder().join("tree");
    for n in 0..FILES {
        let folder = tree.join(format!("{}", n % 7));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{n:03}.txt")), format!("file {n}")).unwrap();
    }
    tree
}

/// Requests that brought most of the files, as the server's log has them once all of those are in it.
fn requests_for_most(server: &Server) -> usize {
    let files = |line: &String| -> Option<usize> {
        let (_, rest) = line.contains("operation=\"upload_batch\"").then(|| line.split_once(" files="))??;
        rest.split(' ').next()?.parse().ok()
    };
    let lines = server.log_until("most files came with others", |lines| {
        lines.iter().filter_map(files).sum::<usize>() > FILES / 2
    });
    lines.iter().filter_map(files).count()
}

#[test]
fn many_small_files_go_up_in_few_requests() {
    let server = Server::start();
    let tree = tree(&server);
    server.run(&["bucket", "create", "box"]).ok();
    let up = json(&server.run(&["--json", "cp", "-r", text(&tree), "aero://box/in"]).ok());
    assert_eq!(up["copied"], FILES, "{up}");
    let requests = requests_for_most(&server);
    assert!(requests <= FILES / 4, "{requests} requests");
    let back = server.folder().join("back");
    server.run(&["cp", "-r", "aero://box/in", text(&back)]).ok();
    for n in 0..FILES {
        let name = format!("{}/{n:03}.txt", n % 7);
        assert_eq!(std::fs::read_to_string(back.join(&name)).unwrap(), format!("file {n}"), "{name}");
    }
}

#[test]
fn of_files_that_go_together_one_that_is_refused_is_told_alone() {
    let server = Server::start();
    let tree = tree(&server);
    server.run(&["bucket", "create", "box", "--max-file-size", "1KB"]).ok();
    std::fs::write(tree.join("3/large.txt"), vec![b'x'; 5000]).unwrap();
    let copy = ["cp", "-r", text(&tree), "aero://box/in"];
    let said = server.run(&copy);
    let told: Vec<_> = said.err.lines().filter(|line| line.contains("PAYLOAD_TOO_LARGE")).collect();
    assert!(said.code == 1 && told.len() == 1 && told[0].contains("tree/3/large.txt: "), "{said:?}");
    requests_for_most(&server);
    assert_eq!(server.run(&["ls", "-r", "box"]).ok().lines().count(), FILES, "all others are there");
    std::fs::remove_file(tree.join("3/large.txt")).unwrap();

    // What is there already is left alone where that is asked for, and is no failure.
    server.run(&["rm", "box/in/5/005.txt"]).ok();
    for n in [4, 5, 6] {
        std::fs::write(tree.join(format!("{n}/00{n}.txt")), "another").unwrap();
    }
    let without = json(&server.run(&["--json", "cp", "-rn", text(&tree), "aero://box/in"]).ok());
    assert_eq!((&without["copied"], &without["skipped"]), (&1.into(), &(FILES - 1).into()), "{without}");
    let content = |n: usize| server.run(&["cp", &format!("aero://box/in/{n}/00{n}.txt"), "-"]).ok();
    assert_eq!([4, 5, 6].map(content), ["file 4", "another", "file 6"]);
    server.run(&copy).ok();
    assert_eq!([4, 5, 6].map(content), ["another"; 3]);
}

/// Who may not write somewhere is told so of those files, by the code for that.
#[test]
fn a_denial_among_files_that_go_together_has_its_own_exit_code() {
    let server = Server::start();
    let tree = tree(&server);
    server.run(&["bucket", "create", "box", "--policy", "authenticated"]).ok();
    let sql = "CREATE POLICY three ON storage.objects AS RESTRICTIVE FOR INSERT TO authenticated \
               WITH CHECK (name <> 'in/3/003.txt')";
    server.pipe(sql.as_bytes(), &["policy", "add", "-"]).ok();
    let token = server.run(&["token", "create", "--user", "11111111-1111-4111-8111-111111111111"]).ok();
    let said = server.run(&["--token", token.trim(), "cp", "-r", text(&tree), "aero://box/in"]);
    let told: Vec<_> = said.err.lines().filter(|line| line.contains("STORAGE_UNAUTHORIZED")).collect();
    assert!(said.code == 4 && told.len() == 1 && told[0].contains("tree/3/003.txt: "), "{said:?}");
    requests_for_most(&server);
    assert_eq!(server.run(&["ls", "-r", "box"]).ok().lines().count(), FILES - 1, "all others are there");
}
