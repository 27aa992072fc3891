//! Creating trees from literals, reading them, and comparing them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use s3up_core::Sha256Digest;
use s3up_testkit::{
    Node, Observed, ObservedKind, Tree, assert_same_tree, char_device, differences, dir, fifo,
    file, hard_link, observe, root_or_skip, sparse, symlink, temp_dir,
};

#[test]
fn a_literal_is_created_exactly() {
    let root = temp_dir();
    let tree = Tree::new([
        file("a/b/file", "content").mode(0o4640).mtime(-5, 7).xattr("user.note", [0, 255]),
        file("empty", ""),
        file(b"\xff\n\xfe", "no text"),
        symlink("symlink", "does/not/exist").mtime(9, 9),
        hard_link("c/link", "a/b/file"),
        fifo("fifo"),
        dir("dir").mode(0o1777),
        sparse("sparse", 1 << 24, &[(0, b"start"), ((1 << 24) - 3, b"end")]),
    ]);

    tree.write(root.path());

    let seen = observe(root.path());
    let entry = |path: &str| seen.entries[Path::new(path)].clone();
    let content = ObservedKind::File { size: 7, sha256: Sha256Digest::of(b"content") };
    let file = entry("a/b/file");
    assert_eq!((file.kind, file.mode, file.mtime), (content, 0o4640, (-5, 7)));
    assert_eq!(file.xattrs[std::ffi::OsStr::new("user.note")], [0, 255]);
    assert_eq!(file.links, [PathBuf::from("a/b/file"), "c/link".into()].into());
    assert_eq!(entry("empty").kind, ObservedKind::File { size: 0, sha256: Sha256Digest::of(b"") });
    assert_eq!(entry("symlink").kind, ObservedKind::Symlink { target: "does/not/exist".into() });
    assert_eq!(entry("symlink").mtime, (9, 9));
    assert_eq!((entry("fifo").kind, entry("fifo").mode), (ObservedKind::Fifo, 0o644));
    assert_eq!((entry("dir").kind, entry("dir").mode), (ObservedKind::Dir, 0o1777));
    assert_eq!(
        (entry("a").mode, entry("a").mtime),
        (0o755, entry(".").mtime),
        "a parent directory has the defaults"
    );
    assert!(matches!(entry("sparse").kind, ObservedKind::File { size: 0x100_0000, .. }));
    let blocks = fs::metadata(root.path().join("sparse")).unwrap().blocks();
    assert!(blocks < 100, "{blocks} blocks: the holes are allocated");
    assert_eq!(seen.entries.len(), 12, "{:?}", seen.entries.keys());
}

#[test]
fn the_same_literal_gives_the_same_tree() {
    let tree = Tree::new([file("a/b/file", "content"), symlink("l", "a"), fifo("a/fifo")]);
    let roots = [temp_dir(), temp_dir()];

    roots.iter().for_each(|root| tree.write(root.path()));

    assert_same_tree(roots[0].path(), roots[1].path());
}

#[test]
fn each_difference_is_reported_and_nothing_else() {
    let f = || file("d/f", "content");
    let content = |text| Sha256Digest::of(text);
    #[rustfmt::skip]
    let cases: Vec<(Node, Node, Vec<String>)> = vec![
        (f(), f(), vec![]),
        (f(), f().mode(0o755), lines(["d/f: mode: 0644 != 0755"])),
        (f(), f().mode(0o2644), lines(["d/f: mode: 0644 != 2644"])),
        (f(), f().mtime(1_600_000_000, 123_456_788),
            lines(["d/f: mtime: 1600000000.123456789 != 1600000000.123456788"])),
        (f(), f().xattr("user.a", "x"), lines([r#"d/f: xattr user.a: None != Some("x")"#])),
        (f().xattr("user.a", "x"), f().xattr("user.a", b"\n"),
            lines([r#"d/f: xattr user.a: Some("x") != Some("\\n")"#])),
        (f(), file("d/f", "Content"),
            vec![format!("d/f: content: {} != {}", content(b"content"), content(b"Content"))]),
        (f(), file("d/f", ""),
            vec!["d/f: size: 7 != 0".into(), format!("d/f: content: {} != {}", content(b"content"), content(b""))]),
        (f(), file("d/g", "content"), lines(["d/f: only on the left", "d/g: only on the right"])),
        (file("n", ""), file(b"\xff", ""), lines(["n: only on the left", r"\xff: only on the right"])),
        (symlink("l", "a"), symlink("l", "b"), lines([r#"l: target: "a" != "b""#])),
        (symlink("l", "a").mtime(1, 1), symlink("l", "a").mtime(1, 2),
            lines(["l: mtime: 1.000000001 != 1.000000002"])),
        (fifo("x"), dir("x").mode(0o644), lines(["x: kind: Fifo != Dir"])),
        (dir("x"), dir("x").mode(0o700), lines(["x: mode: 0755 != 0700"])),
        (dir("x"), dir("x").xattr("user.a", ""), lines([r#"x: xattr user.a: None != Some("")"#])),
        (dir(".").mode(0o700), dir(".").mode(0o711), lines([".: mode: 0700 != 0711"])),
    ];
    for (left, right, want) in cases {
        assert_eq!(differences(&written([left]), &written([right])), want);
    }
}

#[test]
fn hard_links_are_distinguished_from_equal_files() {
    let copies = written([file("a", "x"), file("b", "x"), file("c", "x")]);
    let linked = written([file("a", "x"), hard_link("b", "a"), file("c", "x")]);
    let other = written([file("a", "x"), file("b", "x"), hard_link("c", "a")]);

    assert_eq!(
        differences(&copies, &linked),
        [r#"a: links: {} != {"a", "b"}"#, r#"b: links: {} != {"a", "b"}"#]
    );
    assert_eq!(differences(&linked, &other).len(), 3);
}

#[test]
fn owners_and_devices_are_compared() {
    // Only root can change owners and create device nodes.
    if !root_or_skip() {
        return;
    }
    #[rustfmt::skip]
    let cases = [
        (file("f", "").owner(0, 0), file("f", "").owner(7, 0), "f: uid: 0 != 7"),
        (file("f", "").owner(0, 0), file("f", "").owner(0, 7), "f: gid: 0 != 7"),
        (symlink("l", "x").owner(0, 0), symlink("l", "x").owner(7, 0), "l: uid: 0 != 7"),
        (char_device("c", 1, 3), char_device("c", 1, 5),
            "c: kind: CharDevice { major: 1, minor: 3 } != CharDevice { major: 1, minor: 5 }"),
    ];
    for (left, right, want) in cases {
        assert_eq!(differences(&written([left]), &written([right])), [want]);
    }
    let setuid = written([file("f", "").owner(7, 7).mode(0o4755)]);
    assert_eq!(
        setuid.entries[Path::new("f")].mode,
        0o4755,
        "the mode is set after the owner, which would clear setuid"
    );
}

#[test]
fn a_socket_is_observed() {
    let root = temp_dir();
    let _listener = UnixListener::bind(root.path().join("socket")).unwrap();

    assert_eq!(observe(root.path()).entries[Path::new("socket")].kind, ObservedKind::Socket);
}

#[test]
#[should_panic(expected = "have 1 differences:\n  f: mode: 0644 != 0600")]
fn an_assertion_shows_the_differences() {
    let (left, right) = (temp_dir(), temp_dir());
    Tree::new([file("f", "")]).write(left.path());
    Tree::new([file("f", "").mode(0o600)]).write(right.path());

    assert_same_tree(left.path(), right.path());
}

fn written<const N: usize>(nodes: [Node; N]) -> Observed {
    let root = temp_dir();
    Tree::new(nodes).write(root.path());
    observe(root.path())
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
    lines.map(str::to_owned).into()
}
