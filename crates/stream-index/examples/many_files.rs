//! Measures an index of many files:
//! `cargo run --release -p btrfs-stream-index --example many_files [FILES [BYTES [PER_DIRECTORY]]]`
//!
//! Generates the commands that `btrfs send` writes for that many files of that many bytes, a
//! thousand in each directory. Every tenth file is in an earlier directory, as where trees grow.
//! Prints the time and the peak memory of the whole process, of which the generator and the verifier
//! take a few MiB, the size of the index, and the time to list and to look up files in it.
#![expect(clippy::print_stdout, reason = "its output is the measurement")]

use std::time::Instant;
use std::{env, fs};

use btrfs_sendstream::encode::{command, stream_header};
use btrfs_sendstream::{Attribute, CommandKind, Protocol, Verifier};
use btrfs_stream_index::chain::{Entries, IndexChain, IndexChainError, TreeWalk, Visit};
use btrfs_stream_index::{IndexBuilder, Table};

const WRITE_BYTES: u64 = 48 << 10;

struct Stream {
    files_per_directory: u64,
    verifier: Verifier,
    builder: IndexBuilder,
    bytes: u64,
}

impl Stream {
    fn feed(&mut self, bytes: &[u8]) {
        let builder = &mut self.builder;
        let mut failed = None;
        let fed = self.verifier.feed_to(bytes, |command| {
            failed = failed.take().or(builder.add(&command).err());
        });
        fed.expect("a valid stream");
        assert!(failed.is_none(), "{failed:?}");
        self.bytes += bytes.len() as u64;
    }

    fn send(&mut self, kind: CommandKind, attributes: &[(Attribute, &[u8])]) {
        self.feed(&command(kind, attributes).expect("short attributes"));
    }

    fn utimes(&mut self, path: &[u8], n: u64) {
        let time = [&(1_700_000_000 + n).to_le_bytes()[..], &(n as u32).to_le_bytes()].concat();
        let times = [Attribute::Atime, Attribute::Mtime, Attribute::Ctime];
        let times = times.map(|attribute| (attribute, &time[..]));
        self.send(CommandKind::Utimes, &[&[(Attribute::Path, path)], &times[..]].concat());
    }

    fn file(&mut self, n: u64, data: &[u8]) {
        use Attribute::{Data, FileOffset, Gid, Ino, Mode, Path, PathTo, Uid};
        let mut directory = format!("project {}/documents", n / self.files_per_directory);
        if n.is_multiple_of(self.files_per_directory) {
            for path in [&directory[..directory.len() - 10], &directory] {
                self.send(CommandKind::Mkdir, &[(Path, path.as_bytes()), (Ino, &n.to_le_bytes())]);
            }
        }
        if n % 10 == 9 {
            let earlier = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % n;
            directory = format!("project {}/documents", earlier / self.files_per_directory);
        }
        let (orphan, path) = (format!("o{}-7-0", n + 1000), format!("{directory}/report {n}.pdf"));
        let (orphan, path) = (orphan.as_bytes(), path.as_bytes());
        self.send(CommandKind::Mkfile, &[(Path, orphan), (Ino, &n.to_le_bytes())]);
        self.send(CommandKind::Rename, &[(Path, orphan), (PathTo, path)]);
        self.utimes(directory.as_bytes(), n);
        for (offset, data) in
            (0..).step_by(WRITE_BYTES as usize).zip(data.chunks(WRITE_BYTES as usize))
        {
            let offset: u64 = offset;
            self.send(
                CommandKind::Write,
                &[(Path, path), (FileOffset, &offset.to_le_bytes()), (Data, data)],
            );
        }
        let number = 1000_u64.to_le_bytes();
        self.send(CommandKind::Chown, &[(Path, path), (Uid, &number), (Gid, &number)]);
        self.send(CommandKind::Chmod, &[(Path, path), (Mode, &0o644_u64.to_le_bytes())]);
        self.utimes(path, n);
    }
}

fn number(argument: usize, default: u64) -> u64 {
    env::args().nth(argument).map_or(default, |text| text.parse().expect("a number"))
}

/// Returns the peak memory of this process in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib >> 10
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() {
    let (files, bytes) = (number(1, 1_000_000), number(2, 16 << 10));
    let began = Instant::now();
    let directory = env::temp_dir();
    let builder = IndexBuilder::new(&directory);
    let files_per_directory = number(3, 1000);
    let mut stream = Stream { files_per_directory, verifier: Verifier::new(), builder, bytes: 0 };
    stream.feed(&stream_header(Protocol::V1));
    stream.send(
        CommandKind::Subvolume,
        &[(Attribute::Path, b"data"), (Attribute::Uuid, &[7; 16]), (Attribute::Ctransid, &[1; 8])],
    );
    let data = vec![0x5a; bytes as usize];
    for n in 0..files {
        stream.file(n, &data);
    }
    stream.send(CommandKind::End, &[]);
    let Stream { verifier, builder, bytes, .. } = stream;
    verifier.finish().expect("a complete stream");
    let (file, facts) = builder.finish().expect("an index");
    println!(
        "{files} files, {bytes} bytes: {:.1} s in all, peak {} MiB, index {} bytes ({:.2} %)",
        began.elapsed().as_secs_f64(),
        peak_mib(),
        facts.bytes,
        facts.bytes as f64 * 100.0 / bytes as f64,
    );

    let began = Instant::now();
    let table = Table::open("many files".to_owned(), Box::new(file), Some(facts.directory_sha256))
        .expect("an index");
    let chain = IndexChain::new(vec![table]).expect("a full");
    // The last one that is not in an earlier directory.
    let last = (0..files).rev().find(|n| n % 10 != 9).expect("a file");
    let last = format!("project {}/documents/report {last}.pdf", last / files_per_directory);
    let found = chain.lookup(last.as_bytes()).expect("a readable index").expect("the last file");
    let mut extents = 0;
    let read = chain.extents::<IndexChainError>(&found, |_| {
        extents += 1;
        Ok(())
    });
    read.expect("a readable index");
    println!("opened, one file with {extents} extents: {:.3} s", began.elapsed().as_secs_f64());

    let began = Instant::now();
    let root = chain.lookup(b"").expect("a readable index").expect("a root");
    let (mut walk, mut count) = (TreeWalk::default(), 0_u64);
    walk.enter(Vec::new(), root, (), Entries::All).expect("a readable index");
    while let Some(visit) = walk.next_visit(&chain).expect("a readable index") {
        match visit {
            Visit::Entry { path, file } if file.is_directory() => {
                walk.enter(path, file, (), Entries::All).expect("a readable index");
            }
            Visit::Entry { .. } => count += 1,
            Visit::Leave { .. } => {}
        }
    }
    println!(
        "listed {count} files: {:.3} s, peak {} MiB",
        began.elapsed().as_secs_f64(),
        peak_mib()
    );
}
